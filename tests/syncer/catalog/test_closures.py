"""The closure in force is stored whole, and anything that cannot be read is no closure."""

import gzip
import json
import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from mirror_contract import UnmetReason
from mirror_syncer.catalog import Catalog, StoredClosure
from mirror_syncer.catalog.closure_document import FORMAT, decode_closure, encode_closure
from mirror_syncer.catalog.schema import closure as table
from mirror_syncer.config import VersionRule
from mirror_syncer.config.policy.closure import NO_CLOSURE, Closure, ProjectClosure, Proof, Unmet

names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True).map(canonicalize_name)
versions = st.sampled_from(("1.0", "2.0rc1", "1!2.0.post1", "3.0+local.1", "1.0.dev0"))
texts = st.text(st.characters(codec="utf-8"), max_size=12)
specifiers = st.lists(
    st.sampled_from(("", ">=1.0", "<2", "!=1.5.*", "==1.0+local.1", "===Arbitrary-1", "~=1.4", ">=2.0rc1")), max_size=3
).map(lambda parts: SpecifierSet(",".join(filter(None, parts))))
rules = st.builds(
    VersionRule,
    specifiers,
    st.none() | st.integers(1, 9),
    st.none() | st.booleans(),
    st.none() | st.integers(0, 2**400),
    st.booleans(),
)
chains = st.dictionaries(versions, texts, max_size=3)
projects = st.builds(
    ProjectClosure,
    st.lists(rules, max_size=3).map(tuple),
    st.frozensets(versions),
    st.frozensets(versions),
    chains,
    st.dictionaries(names, st.lists(texts, max_size=2).map(tuple), max_size=3),
    st.integers(0, 9),
    st.integers(0, 2**50),
)
unmet = st.builds(
    Unmet, names, versions, texts, st.lists(texts, max_size=2).map(tuple), st.sampled_from(UnmetReason), texts
)
proofs = st.builds(Proof, texts, texts, st.dictionaries(names, versions, max_size=3))
closures = st.builds(
    Closure,
    st.dictionaries(names, projects, max_size=4),
    st.lists(unmet, max_size=3).map(tuple),
    st.lists(proofs, max_size=3).map(tuple),
    st.frozensets(names, max_size=4),
    st.lists(st.lists(names, max_size=2).map(tuple), max_size=3).map(tuple),
    st.none() | st.integers(0, 2**40),
    st.lists(st.lists(names, max_size=3).map(tuple), max_size=2).map(tuple),
)
CLOSURE = Closure({NormalizedName("six"): ProjectClosure((VersionRule(SpecifierSet(">=1"), 1, clients=0b101),))})
STORED = StoredClosure(CLOSURE, "by a policy", "of pages", 1_800_000_000)


@given(closures)
def test_every_closure_is_read_as_it_was_stored(closure: Closure) -> None:
    """Everything in a closure survives exactly, down to masks and chains; equal closures are equal bytes."""
    document = encode_closure(closure)
    read = decode_closure(document)
    assert read == closure
    assert uncompared(read) == uncompared(closure)
    assert encode_closure(read) == document


def test_catalog_keeps_the_last_closure(catalog_url: str) -> None:
    """The catalog keeps one closure with what it was computed from, also over a restart."""
    with closing(Catalog(catalog_url)) as catalog:
        assert catalog.closures.get() is None
        catalog.closures.store(replace(STORED, closure=NO_CLOSURE, computed_at=1))
        catalog.closures.store(STORED)
    with closing(Catalog(catalog_url)) as catalog:
        assert catalog.closures.get() == STORED


def uncompared(closure: Closure) -> object:
    """Return what equality of closures ignores."""
    return {
        name: (project.chains, project.required_by, project.files, project.size)
        for name, project in closure.projects.items()
    }


def damaged(document: object) -> bytes:
    """Return a document as the catalog stores it."""
    return gzip.compress(json.dumps(document).encode())


WHOLE = json.loads(encode_closure(CLOSURE))
RULE = WHOLE["projects"]["six"]["rules"][0]


def with_rule(**wrong: object) -> bytes:
    """Return the stored document with a rule that is wrong."""
    return damaged({**WHOLE, "projects": {"six": {**WHOLE["projects"]["six"], "rules": [RULE | wrong]}}})


DAMAGES = {
    "nothing": b"",
    "no gzip": b"no gzip",
    "cut short": gzip.compress(b"x" * 1_000)[:-12],
    "no UTF-8": gzip.compress(b"\xff{"),
    "nested": gzip.compress(b"[" * 100_000),
    "no keys": damaged({}),
    "other key": damaged(WHOLE | {"more": 1}),
    "name not normalized": damaged(WHOLE | {"pages": ["Six"]}),
    "no name": damaged(WHOLE | {"pages": ["../six"]}),
    "no time": damaged(WHOLE | {"expires_at": math.inf}),
    "no specifier": with_rule(specifier="=>1"),
    "no mask": with_rule(clients="xyz"),
    "no number": with_rule(latest="many"),
    "no boolean": with_rule(takes_yanked=None),
}


@pytest.mark.proves("reliability/time-and-order")
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_closure_is_computed_again(tmp_path: Path, damage: str) -> None:
    """A closure that cannot be read is none: the log says so, nothing fails, and the next one is stored."""
    with closing(Catalog.in_directory(tmp_path)) as catalog:
        catalog.closures.store(STORED)
        change(tmp_path, document=DAMAGES[damage])
        with structlog.testing.capture_logs() as logs:
            assert catalog.closures.get() is None
        [line] = logs
        assert line["event"] == "the stored dependency closure is damaged; it is computed again"
        assert line["reason"]
        catalog.closures.store(STORED)
        assert catalog.closures.get() == STORED


@pytest.mark.proves("reliability/time-and-order")
def test_closure_of_another_version_is_computed_again(tmp_path: Path) -> None:
    """A document of another format is not guessed at, whatever it holds."""
    with closing(Catalog.in_directory(tmp_path)) as catalog:
        catalog.closures.store(STORED)
        change(tmp_path, format=FORMAT + 1)
        with structlog.testing.capture_logs() as logs:
            assert catalog.closures.get() is None
        assert [line["log_level"] for line in logs] == ["info"]


def test_text_that_is_no_unicode_is_stored(tmp_path: Path) -> None:
    """A lone surrogate in hostile metadata does not keep a closure from being stored."""
    six, odd = NormalizedName("six"), "six\ud800>=1"
    found = Closure(
        {six: ProjectClosure(chains={"1": odd})},
        (Unmet(six, odd, odd, (), UnmetReason.UNREADABLE, odd),),
        (Proof(odd, "Python 3.11", {}),),
    )
    with closing(Catalog.in_directory(tmp_path)) as catalog:
        catalog.closures.store(replace(STORED, closure=found))
        read = catalog.closures.get()
    assert read is not None
    assert read.closure.projects[six].chains == {"1": "six?>=1"}
    assert read.closure.unmet[0].requirement == "six?>=1"


def change(directory: Path, **values: object) -> None:
    """Change the stored row without the catalog's knowledge."""
    engine = sa.create_engine(f"sqlite:///{directory / 'catalog.sqlite'}")
    with engine.begin() as connection:
        connection.execute(table.update().values(values))
    engine.dispose()
