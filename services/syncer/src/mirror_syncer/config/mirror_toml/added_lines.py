"""Added lines as a part of the policy: they select like lines of ``mirror.toml``, and stand beside them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from pydantic import ValidationError

from mirror_syncer.config.mirror_toml.project_line import ProjectLine, usual_prereleases, version_rule
from mirror_syncer.config.policy.added_line import AddedLine
from mirror_syncer.config.policy.policy import Policy
from mirror_syncer.config.policy.selection import MIRROR_TOML, Selection


def with_added_lines(policy: Policy, added: Iterable[AddedLine]) -> Policy:
    """
    Return a policy that also selects what these lines name, with the ``latest`` and pre-releases of ``mirror.toml``.

    A project with lines in both places has what either of them selects. With scope everything, where each project of
    upstream's list is wanted, they have no effect: a line with versions would leave out the others.

    Args:
        policy: of ``mirror.toml`` alone.
    """
    if policy.everything:
        return policy
    selections = dict(policy.projects)
    roots = {replace(root, text=""): root for root in policy.lines}
    for one in added:
        line = _parse(one)
        if line is None:
            continue
        need = replace(line.root, text="")
        is_new, before = need not in roots, selections.get(one.project)
        selection = _select(one, line, policy, before=before)
        if before is not None and not is_new and selection.rules == before.rules:
            continue  # mirror.toml has the same line
        selections[one.project] = selection
        roots.setdefault(need, line.root)
    return replace(policy, projects=selections, lines=tuple(roots.values()))


def idle_added_lines(policy: Policy, added: Sequence[AddedLine]) -> Iterator[str]:
    """Yield a sentence about each added line that has no effect, or only a part of it, and what to do."""
    if policy.everything and added:
        number = "1 added line has" if len(added) == 1 else f"{len(added):,} added lines have"
        yield f'scope = "everything" already mirrors each project, so {number} no effect: `mirrorctl selection`'
        return
    for one in added:
        line = _parse(one)
        if line is None:
            yield f"the added line {one.text!r} cannot be read by this version: `mirrorctl remove {one.project}`"
        elif not policy.dependencies.follow and (reason := line.only_followed) is not None:
            yield f"the added line {line.shown}: {reason}"


def _select(one: AddedLine, line: ProjectLine, policy: Policy, *, before: Selection | None) -> Selection:
    """Return what an added line selects of its project, with what ``mirror.toml`` selects."""
    prereleases = usual_prereleases(policy.rules.files.prereleases, everything=policy.everything)
    rule = version_rule(line, latest=policy.latest, prereleases=prereleases)
    if before is None:
        return Selection(str(line), (rule,), where=one.where)
    rules = before.rules if rule in before.rules else (*before.rules, rule)
    return replace(before, line=f"{before.line} or {line}", rules=rules, where=f"{MIRROR_TOML} or {one.where}")


@lru_cache(maxsize=2_000)  # twice as many as there may be; each change of an input reads all again
def _parse(one: AddedLine) -> ProjectLine | None:
    """Return a line, or None if it names another project or cannot be read: another version may have stored it."""
    try:
        line = ProjectLine.model_validate(one.text)
    except ValidationError:
        return None
    return line if line.root.name == one.project else None
