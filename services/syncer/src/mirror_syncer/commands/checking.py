"""The check of a policy file: its mistakes, and what it would change."""

import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from mirror_contract import PolicyCheck
from mirror_syncer.catalog import Catalog
from mirror_syncer.closure.closure_source import ClosureSource
from mirror_syncer.config import Policy
from mirror_syncer.config.mirror_toml.file import PolicyError, choose_file, judge_policy, read_file
from mirror_syncer.config.mirror_toml.source import PolicySource
from mirror_syncer.config.settings import Settings
from mirror_syncer.runs.sync.policy_check import PolicyInForce, check_policy
from mirror_syncer.volume import open_view
from mirror_syncer.work.transfer import StoredPages


def read_candidate(settings: Settings, file: Path | None) -> Policy:
    """
    Return the policy of a file, standard input (``-``) or the file in use, with locks, advisories and releases.

    Raises:
        PolicyError: it cannot be used.
        ConfigurationError: the catalog cannot be opened.
    """
    candidate = None if file is None else judge_policy(_read(file), path=file)
    try:
        source = PolicySource(settings.policy, state=settings.state, keeps=False)
    except PolicyError:
        if candidate is None:
            raise
        return candidate  # no policy is in force yet
    with closing(Catalog.of_settings(settings)) as catalog:
        source.add(catalog.added_lines.in_force())
        source.release(catalog.exemptions.released(now=int(time.time())))
    if candidate is not None:
        return source.check(candidate)[0]
    if source.error is not None:
        raise source.error
    return source.current


def check_file(settings: Settings, file: Path | None) -> PolicyCheck:
    """
    Check a file, standard input (``-``) or the file in use; if there is a catalog, also count the changes.

    Raises:
        PolicyError: the file cannot be read.
        ConfigurationError: the catalog cannot be opened.
    """
    content = _read(file or choose_file(settings.policy))
    if not settings.catalog and not (settings.state / "catalog.sqlite").exists():
        return check_policy(content)
    try:
        source = PolicySource(settings.policy, state=settings.state, keeps=False)
    except PolicyError:
        return check_policy(content)  # no policy is in force yet
    catalog = Catalog.of_settings(settings)
    view = open_view(settings.location(), scratch=settings.scratch)
    try:
        source.add(catalog.added_lines.in_force())
        source.release(catalog.exemptions.released(now=int(time.time())))
        source.follow(catalog.closures.in_force())
        pages = StoredPages(
            view, kept=catalog.kept_pages.get, without_hash=settings.without_hash, upstream=settings.upstream
        )
        stored = partial(ClosureSource.without_storing, settings, catalog=catalog, view=view)
        return check_policy(content, PolicyInForce(source, catalog, pages if view.present else None, stored))
    finally:
        catalog.close()


def _read(file: Path) -> bytes:
    return sys.stdin.buffer.read() if str(file) == "-" else read_file(file)
