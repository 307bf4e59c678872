"""Advisories: what the records of a feed block, and what they do not."""

import json
import pickle
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from mirror_syncer.config.advisories import Advisories, BlockingRules, Kind, Severity
from mirror_syncer.config.advisories.record import RecordError, parse_record
from syncer.osv import Record, ecosystem, record
from syncer.site import memory_below

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
CRITICAL = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"  # 9.8
LOW = "CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"  # 1.6
V4_HIGH = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N"  # 8.7
FOO = NormalizedName("foo")
MALWARE_ONLY = BlockingRules()
HIGH = BlockingRules(Severity.HIGH)


FULL = record(
    "GHSA-1",
    versions=["1.0", "1.1"],
    ranges=ecosystem(("introduced", "0"), ("fixed", "2.0")),
    indicators={"package_integrity": [{"hashes": {"sha256": "ab" * 32}}]},
    aliases=["CVE-1"],
    summary="Bad",
    details="Very",
    severity=[{"type": "CVSS_V3", "score": CRITICAL}],
    withdrawn=None,
    database_specific={"severity": "HIGH", "github_reviewed": True},
)
# Each place of it that is read.
AFFECTED = "affected", 0
PLACES: list[tuple[str | int, ...]] = [
    *((key,) for key in FULL),
    *((*AFFECTED, key) for key in FULL["affected"][0]),
    *((*AFFECTED, "package", key) for key in ("ecosystem", "name")),
    *((*AFFECTED, "versions", 0), (*AFFECTED, "ranges", 0)),
    *((*AFFECTED, "ranges", 0, key) for key in ("type", "events")),
    *((*AFFECTED, "ranges", 0, "events", 1), (*AFFECTED, "ranges", 0, "events", 1, "fixed")),
    *(
        (*AFFECTED, "database_specific", "indicators"),
        (*AFFECTED, "database_specific", "indicators", "package_integrity"),
    ),
    *(("severity", 0), ("severity", 0, "type"), ("severity", 0, "score")),
    *(("database_specific", "severity"), ("database_specific", "github_reviewed")),
]


def index(*records: Record) -> Advisories:
    """Return the advisories of records."""
    parsed = (parse_record(json.dumps(one).encode()) for one in records)
    return Advisories.of((one for one in parsed if one is not None), now=NOW)


def blocked(
    advisories: Advisories, *versions: str, project: str = "foo", rules: BlockingRules = MALWARE_ONLY
) -> list[str]:
    """Return the versions that are blocked."""
    blocking = advisories.blocking(canonicalize_name(project), rules)
    return [one for one in versions if any(found.affects(parsed(one), one) for found in blocking)]


def parsed(text: str) -> Version | None:
    """Return a version, or None for a text that is none."""
    try:
        return Version(text)
    except InvalidVersion:
        return None


def rated(vector: str, kind: str = "CVSS_V3") -> list[dict[str, str]]:
    """Return a record's ``severity``."""
    return [{"type": kind, "score": vector}]


def test_malware_blocks_the_versions_that_it_lists() -> None:
    """A MAL record blocks its versions without any setting; the project's other versions pass."""
    advisories = index(record("MAL-2026-1", versions=["1.0", "1.1"], summary="Malicious code in foo (PyPI)"))

    assert blocked(advisories, "0.9", "1.0", "1.1", "1.2") == ["1.0", "1.1"]
    assert advisories.about(FOO)[0].reason == "advisory MAL-2026-1 (malware): Malicious code in foo (PyPI)"
    assert advisories.counts == {Kind.MALWARE: 1, Kind.VULNERABILITY: 0}


def test_range_and_list_are_a_union() -> None:
    """A version is affected if it is listed or in a range; 16 of PyPA's records need both."""
    advisories = index(
        record("MAL-2026-1", versions=["3.0"], ranges=ecosystem(("introduced", "1.0"), ("fixed", "1.2")))
    )

    assert blocked(advisories, "1.0", "1.1", "1.2", "3.0") == ["1.0", "1.1", "3.0"]


def test_versions_are_compared_as_versions() -> None:
    """Another spelling of a listed version is blocked; a text that is no version only by the same text."""
    advisories = index(record("MAL-2026-1", versions=["1.3.1dev", "0.8.4-2", "2.0", "0.7.10p1"]))

    assert blocked(advisories, "1.3.1.dev0", "0.8.4.post2", "2", "2.0.0", "0.7.10p1") == [
        *("1.3.1.dev0", "0.8.4.post2", "2", "2.0.0", "0.7.10p1")
    ]
    assert blocked(advisories, "0.8.4", "0.7.10", "2.0+local", "0.7.10P1") == []


@pytest.mark.parametrize("spelling", ["Foo.Bar", "foo_bar", "foo-bar", "FOO--bar"])
def test_names_are_compared_in_canonical_form(spelling: str) -> None:
    """A record blocks its project, however it spells the name."""
    assert blocked(index(record("MAL-2026-1", spelling, versions=["1"])), "1", project="foo-bar") == ["1"]


def test_withdrawn_record_blocks_nothing() -> None:
    """A withdrawn record has no effect, and lends neither kind nor severity to others."""
    withdrawn = "2026-11-29T13:04:00Z"
    advisories = index(
        record("MAL-2026-4750", versions=["0.136.3"], withdrawn=withdrawn),
        record("PYSEC-2026-1", versions=["0.136.3"], aliases=["MAL-2026-4750"]),
    )

    assert blocked(advisories, "0.136.3") == []
    assert advisories.records == 2
    assert advisories.counts == {Kind.MALWARE: 0, Kind.VULNERABILITY: 1}


def test_record_with_a_mal_alias_is_malware() -> None:
    """PYSEC and GHSA records of malware, which name the MAL record, block as it does."""
    advisories = index(record("PYSEC-2024-1", versions=["0.5"], aliases=["MAL-2024-9"]))

    assert blocked(advisories, "0.5") == ["0.5"]


def test_last_modified_of_two_records_counts() -> None:
    """If two files hold one record, the newer one counts, in either order."""
    old = record("MAL-2026-1", versions=["1"], modified="2026-11-01T00:00:00Z")
    new = record("MAL-2026-1", versions=["2"], modified="2026-11-02T00:00:00Z")

    assert blocked(index(old, new), "1", "2") == blocked(index(new, old), "1", "2") == ["2"]


@pytest.mark.parametrize(
    "scheme", [{"type": "GIT", "repo": "https://example.org/foo"}, {"type": "ECOSYSTEM"}, {"type": "OTHER"}]
)
def test_ranges_without_versions_affect_nothing(scheme: Record) -> None:
    """Ranges of commits, of unknown types, and without events never block all versions."""
    events = [] if scheme["type"] == "ECOSYSTEM" else [{"introduced": "0"}]

    assert blocked(index(record("MAL-2026-1", ranges=[{**scheme, "events": events}])), "1", "99") == []


def test_other_ecosystems_are_left_out() -> None:
    """Only what a record says about PyPI counts, even if it is also about npm."""
    both = record("MAL-2026-1", versions=["1"])
    both["affected"].append({"package": {"ecosystem": "npm", "name": "bar"}, "versions": ["1"]})
    npm = record("MAL-2026-2", versions=["1"])
    npm["affected"][0]["package"]["ecosystem"] = "npm"

    advisories = index(both, npm)

    assert advisories.projects == {FOO}
    assert advisories.records == 1


def test_vulnerabilities_block_only_from_the_severity_on() -> None:
    """Vulnerabilities do not block unless ``severity`` is set, and then from it on, by CVSS 3, CVSS 4 or a word."""
    advisories = index(
        record("GHSA-low", versions=["1"], severity=rated(LOW)),
        record("GHSA-v4-high", versions=["2"], severity=rated(V4_HIGH, "CVSS_V4")),
        record("GHSA-critical", versions=["3"], severity=rated(CRITICAL)),
        record("GHSA-word", versions=["4"], database_specific={"severity": "MODERATE"}),
        record("PYSEC-unrated", versions=["5"]),
        record("PYSEC-nonsense", versions=["6"], severity=rated("CVSS:3.1/AV:N"), database_specific={"severity": 7}),
    )
    versions = "1", "2", "3", "4", "5", "6"

    assert blocked(advisories, *versions) == []
    assert blocked(advisories, *versions, rules=BlockingRules(Severity.LOW)) == ["1", "2", "3", "4"]
    assert blocked(advisories, *versions, rules=BlockingRules(Severity.MEDIUM)) == ["2", "3", "4"]
    assert blocked(advisories, *versions, rules=HIGH) == ["2", "3"]
    assert blocked(advisories, *versions, rules=BlockingRules(Severity.CRITICAL, block_unrated=True)) == ["3", "5", "6"]


def test_unrated_record_takes_the_severity_of_its_alias() -> None:
    """2,459 of 2,661 PYSEC records have no severity; GitHub's record of the same CVE has."""
    advisories = index(
        record("PYSEC-2026-1", versions=["1"], aliases=["CVE-2026-1"]),
        record("GHSA-1", "other", versions=["9"], aliases=["CVE-2026-1"], database_specific={"severity": "CRITICAL"}),
    )

    assert blocked(advisories, "1", rules=HIGH) == ["1"]
    assert advisories.about(FOO)[0].severity is Severity.CRITICAL


def test_ignored_advisory_does_not_block() -> None:
    """``ignore`` exempts by id or by alias, also malware."""
    advisories = index(
        record("MAL-2026-1", versions=["1"]),
        record("PYSEC-2026-1", versions=["2"], aliases=["CVE-2026-1"], severity=rated(CRITICAL)),
    )
    rules = BlockingRules(Severity.LOW, ignore=frozenset({"MAL-2026-1", "CVE-2026-1"}))

    assert blocked(advisories, "1", "2", rules=rules) == []


def test_only_reviewed_records_name_fixes() -> None:
    """A fix counts if PYPA or GitHub reviewed the record: who owns the project may write the other ones."""
    fixed = ecosystem(("introduced", "0"), ("fixed", "1.1"))
    advisories = index(
        record("PYSEC-2026-1", ranges=fixed),
        record("GHSA-1", "bar", ranges=fixed, database_specific={"github_reviewed": True}),
        record("GHSA-2", "baz", ranges=fixed, database_specific={"github_reviewed": False}),
        record("MAL-2026-1", "qux", ranges=fixed),
        record("PYSEC-2026-2", "gone", ranges=fixed, withdrawn="2026-11-01T00:00:00Z"),
    )

    assert advisories.fixes(FOO) == {Version("1.1"): "PYSEC-2026-1"}
    assert advisories.fixes(NormalizedName("bar")) == {Version("1.1"): "GHSA-1"}
    assert not any(advisories.fixes(NormalizedName(name)) for name in ("baz", "qux", "gone"))


def test_fix_that_is_affected_again_is_none() -> None:
    """A version that a record names as fixed and affected does not count as a fix."""
    events = ("introduced", "0"), ("fixed", "1.1"), ("introduced", "1.1"), ("fixed", "1.2")
    advisories = index(record("PYSEC-2026-1", versions=["1.1"], ranges=ecosystem(*events)))

    assert set(advisories.fixes(FOO)) == {Version("1.2")}


def test_hashes_of_malware_are_known() -> None:
    """The sha256 digests in newer MAL records are read; anything else in their place is not."""
    digest = "AB" * 32
    files = [{"hashes": {"sha256": digest}}, {"hashes": {"sha256": "short"}}, {"hashes": 7}, "text", {}]

    advisories = index(record("MAL-2026-1", indicators={"package_integrity": files}))

    assert advisories.about(FOO)[0].hashes == {digest.lower()}


def test_reason_is_one_short_line() -> None:
    """A summary can neither control a terminal nor fill a page, whoever wrote it."""
    summary = "a\x1b[31m\u202e\r\nb " + "long " * 500

    reason = index(record("MAL-2026-1", versions=["1"], summary=summary)).about(FOO)[0].reason

    assert reason.isprintable()
    assert len(reason) < 220


def changed_digests(before: Advisories, after: Advisories) -> set[NormalizedName]:
    """Return the projects whose digest differs."""
    names = before.projects | after.projects
    return {name for name in names if before.digest(name, MALWARE_ONLY) != after.digest(name, MALWARE_ONLY)}


def test_digest_changes_only_for_affected_projects() -> None:
    """A changed feed changes the digests of the projects on which it has another effect, and no others."""
    before = index(record("MAL-2026-1", versions=["1"]), record("PYSEC-1", "bar", versions=["1"]))
    after = index(
        record("MAL-2026-1", versions=["1", "2"], modified="2026-11-30T07:00:00Z"),
        record("PYSEC-1", "bar", versions=["1", "2"]),
        record("MAL-2026-2", "new", versions=["1"]),
    )

    assert changed_digests(before, after) == {"foo", "new"}
    assert before.digest(FOO, MALWARE_ONLY) != after.digest(FOO, MALWARE_ONLY)
    assert before.digest(NormalizedName("bar"), MALWARE_ONLY) == ""
    assert {name for name in after.projects if after.blocking(name, MALWARE_ONLY)} == {"foo", "new"}


def test_modified_alone_changes_no_digest() -> None:
    """OSV touches thousands of records a week without a change: these cost no page."""
    before, after = (index(record("MAL-2026-1", versions=["1"], modified=day)) for day in ("2026-11-01", "2026-11-02"))

    assert changed_digests(before, after) == set()
    assert before.digest(FOO, MALWARE_ONLY) == after.digest(FOO, MALWARE_ONLY) != ""


def test_age_is_that_of_the_newest_record() -> None:
    """A record from the future, or with an invalid time, makes no feed look fresh."""
    advisories = index(
        record("PYSEC-1", modified="2026-11-28T12:00:00.123456789Z"),
        record("PYSEC-2", modified="2099-01-01T00:00:00Z"),
        record("PYSEC-3", modified="soon"),
    )

    assert advisories.age(NOW) == timedelta(days=2) - timedelta(microseconds=123456)


def test_advisory_is_sent_to_workers_as_a_small_value() -> None:
    """An advisory survives pickling, without what it parsed meanwhile."""
    (advisory,) = index(record("MAL-2026-1", versions=["1"])).about(FOO)
    size = len(pickle.dumps(advisory))
    assert advisory.affects(Version("1"), "1")

    copy = pickle.loads(pickle.dumps(advisory))

    assert copy == advisory
    assert len(pickle.dumps(advisory)) == size
    assert copy.affects(Version("1.0"), "1.0")


def test_unusable_parts_of_a_record_are_noted() -> None:
    """The parts of a record that have no effect are reported, with its id."""
    advisories = index(
        record("PYSEC-1", ranges=ecosystem(("introduced", "0"), ("fixed", "2019-09-12"))),
        record("PYSEC-2"),
        record("PYSEC-3", "", versions=["1"]),
    )

    assert [note.partition(":")[0] for note in advisories.notes] == ["PYSEC-1", "PYSEC-2", "PYSEC-3"]
    assert "'2019-09-12' in a range of foo is not a version" in advisories.notes[0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"id": 7}',
        b'{"id": "../../etc"}',
        b'{"id": "MAL-1\\n"}',
        b'{"id": "MAL-1", "affected": "all"}',
        b'{"id": "MAL-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "foo"}, "versions": [1]}]}',
        b'{"id": "MAL-1", "affected": [' + b"[" * 50_000 + b"]}",
        b"\xff\xfe",
        b'{"id": "MAL-1"',
    ],
)
def test_malformed_record_is_refused(content: bytes) -> None:
    """Whatever is no record is refused with one sentence."""
    with pytest.raises(RecordError) as refused:
        parse_record(content)

    assert str(refused.value).isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.lists(
        st.tuples(st.sampled_from(PLACES), JSON | st.sampled_from(["9" * 5_000, "1" * 300, "\n", "CVSS:3.1/AV:"]))
    ),
)
def test_odd_record_is_read_or_refused(changes: list[tuple[tuple[str | int, ...], Any]]) -> None:
    """A record with any values in its fields is read or refused; judging by it never fails."""
    odd = json.loads(json.dumps(FULL))
    for place, value in changes:
        parent = odd
        try:
            for step in place[:-1]:
                parent = parent[step]
            parent[place[-1]] = value
        except (IndexError, KeyError, TypeError):
            continue  # an earlier change replaced what was there
    with suppress(RecordError):
        found = parse_record(json.dumps(odd).encode())
        if found is None:
            return
        advisories = Advisories.of([found], now=NOW)
        for project in advisories.projects:
            for advisory in advisories.blocking(project, BlockingRules(Severity.LOW, block_unrated=True)):
                assert advisory.reason.isprintable()
                advisory.affects(Version("99"), "99")
            advisories.fixes(project)
            advisories.digest(project, BlockingRules(fixes=True))


@pytest.mark.parametrize("entry", [b'{"type": "ECOSYSTEM", "events": []}', b'{"type": "GIT"}'])
def test_record_with_a_million_ranges_is_refused(entry: bytes) -> None:
    """A record with more entries than any real one is refused before it is parsed."""
    before, after = json.dumps(record("MAL-2026-1", ranges=[])).encode().split(b'"ranges": [')

    with pytest.raises(RecordError, match="more than 100,000 objects"):
        parse_record(before + b'"ranges": [' + b",".join([entry] * 1_000_000) + after)


def test_record_with_a_million_versions_is_refused() -> None:
    """A record with too many versions is refused, with its id."""
    with pytest.raises(RecordError, match="MAL-2026-1 lists more than 100,000"):
        parse_record(json.dumps(record("MAL-2026-1", versions=["1"] * 1_000_000)).encode())


@pytest.mark.proves("security/upstream")
@pytest.mark.parametrize("field", ["aliases", "database_specific"])
def test_record_of_empty_lists_costs_no_memory(field: str) -> None:
    """A record with a million empty values is refused before they take 64 bytes each."""
    before, after = json.dumps(FULL | {field: "HERE"}).encode().split(b'"HERE"')
    content = before + b"[" + b",".join([b"[]"] * 1_000_000) + b"]" + after

    with memory_below(1_000_000), pytest.raises(RecordError, match="GHSA-1 lists more than 100,000"):
        parse_record(content)


@pytest.mark.proves("security/upstream")
def test_long_texts_of_a_record_are_not_kept() -> None:
    """Texts that are too long for a version or a rating have no effect, and stay in no cache."""
    long = "1." * 50_000

    with memory_below(3_000_000):
        for number in range(100):
            version = f"{long}{number}"
            ranges = ecosystem(("introduced", version), ("fixed", "2.0"))
            rating = {"type": "CVSS_V3", "score": version}
            found = index(record("MAL-1", versions=[version, "1.0"], ranges=ranges, severity=[rating]))
            (advisory,) = found.about(FOO)
            assert (advisory.versions, advisory.intervals, advisory.severity) == ("1.0", (), None)
