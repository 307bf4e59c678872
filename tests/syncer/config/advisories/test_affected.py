"""Affected versions: the intervals of a range, against the algorithm that the OSV schema writes down."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from mirror_syncer.config.advisories.affected import Bounds, Interval, Intervals, Range, read_range

VERSIONS = ["0", "0.1.dev1", "0.1", "0.9", "1.0a1", "1.0rc1", "1.0", "1.0+local", "1.0.post1", "1.1", "2.0", "2.0.0.1"]
KINDS = ["introduced", "fixed", "last_affected"]
Events = Sequence[tuple[str, str]]


def affects(found: Range, version: str) -> bool:
    """Return whether a range affects a version."""
    return any(interval.bounds.contains(Version(version)) for interval in found.intervals)


def oracle(events: Events, version: str) -> bool:
    """Return whether a version is affected: the schema's own algorithm, event by event."""

    def place(event: tuple[str, str]) -> tuple[bool, Version, int]:
        kind, text = event
        order = {"introduced": 0, "last_affected": 1, "fixed": 2}
        return (kind, text) != ("introduced", "0"), Version(text), order[kind]

    affected, wanted = False, Version(version)
    for kind, text in sorted((event for event in events if event[0] != "limit"), key=place):
        if kind == "introduced":
            affected = affected or text == "0" or wanted >= Version(text)
        elif wanted > Version(text) or (kind == "fixed" and wanted == Version(text)):
            affected = False
    limits = [Version(text) for kind, text in events if kind == "limit"]
    return affected and (not limits or any(wanted < limit for limit in limits))


@given(st.lists(st.tuples(st.sampled_from([*KINDS, "limit"]), st.sampled_from(VERSIONS)), max_size=8))
def test_range_agrees_with_the_schemas_algorithm(events: list[tuple[str, str]]) -> None:
    """Any events in any order affect exactly the versions that the OSV schema's algorithm names."""
    found = read_range(events)

    assert {one for one in VERSIONS if affects(found, one)} == {one for one in VERSIONS if oracle(events, one)}


@given(st.lists(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(VERSIONS)), max_size=6), max_size=4))
def test_union_contains_what_any_of_its_intervals_contains(ranges: list[list[tuple[str, str]]]) -> None:
    """Intervals of several ranges may touch, overlap, contain each other or be empty; their union has all of them."""
    found = [interval for events in ranges for interval in read_range(events).intervals]
    union = Intervals(found)

    assert {one for one in VERSIONS if Version(one) in union} == {
        one for one in VERSIONS if any(interval.bounds.contains(Version(one)) for interval in found)
    }


@pytest.mark.proves("security/upstream")
def test_version_is_compared_with_one_of_many_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record with 10,000 intervals costs a look at one of them for each version, not at all."""
    union = Intervals(Interval(f"{number}.1", f"{number}.2") for number in range(10_000))
    looked = list[Bounds]()
    contains = Bounds.contains

    def look(bounds: Bounds, version: Version) -> bool:
        looked.append(bounds)
        return contains(bounds, version)

    monkeypatch.setattr(Bounds, "contains", look)

    assert Version("9999.1.5") in union
    assert Version("9999.3") not in union
    assert len(looked) == 2


@given(st.permutations([("introduced", "0"), ("fixed", "0.9"), ("introduced", "1.0"), ("fixed", "1.1")]))
def test_events_in_any_order_make_the_same_intervals(events: Events) -> None:
    """Several intervals count, and the order in which a record lists their events does not."""
    found = read_range(events)

    assert [one for one in VERSIONS if affects(found, one)] == [
        *("0", "0.1.dev1", "0.1"),
        *("1.0", "1.0+local", "1.0.post1"),
    ]
    assert set(found.fixed) == {"0.9", "1.1"}


def test_interval_from_zero_includes_prereleases_of_zero() -> None:
    """``introduced: 0`` means from the first version on, even from one below 0."""
    found = read_range([("introduced", "0"), ("fixed", "1.0")])

    assert affects(found, "0.dev1")
    assert affects(found, "0")
    assert affects(found, "1.0rc1")
    assert not affects(found, "1.0")


def test_last_affected_is_included() -> None:
    """``last_affected`` is affected itself, ``fixed`` is not."""
    found = read_range([("introduced", "1.0"), ("last_affected", "1.1")])

    assert affects(found, "1.1")
    assert affects(found, "1.1.0")
    assert not affects(found, "1.1.post1")


def test_interval_begun_and_fixed_at_one_version_is_empty() -> None:
    """``introduced`` comes before ``fixed`` at the same version, so that such an interval affects nothing."""
    found = read_range([("fixed", "1.0"), ("introduced", "1.0")])

    assert not any(affects(found, one) for one in VERSIONS)


@pytest.mark.parametrize(
    "events",
    [
        [("introduced", "0"), ("fixed", "2019-09-12")],
        [("introduced", "0.2.0-n653"), ("fixed", "1.0")],
        [("introduced", "0"), ("last_affected", "0.7.10p1")],
        [("introduced", "0"), ("limit", "x")],
        [("introduced", "1.0"), ("introduced", "0"), ("fixed", "0.9"), ("fixed", "x")],
        [("fixed", "x"), ("introduced", "0")],
        [("introduced", "0"), ("fixd", "1.0")],
        [("introduced", "1.0"), ("fixed", "1.1"), ("introduced", "0"), ("fixed", "x")],
    ],
)
def test_unknown_event_affects_nothing(events: Events) -> None:
    """An event that is not a version makes its interval unknown: it never blocks all versions, and is reported."""
    found = read_range(events)

    assert found.intervals == ()
    assert found.unknown is not None


def test_unknown_event_leaves_whole_intervals_of_its_range() -> None:
    """An interval with two known bounds counts, although another one of its range is unknown."""
    events = [("introduced", "0"), ("fixed", "2019-09-12"), ("introduced", "1.0"), ("fixed", "1.1")]

    found = read_range(events)

    assert [one for one in VERSIONS if affects(found, one)] == ["1.0", "1.0+local", "1.0.post1"]
    assert found.unknown == "2019-09-12"


@given(
    st.lists(
        st.tuples(st.sampled_from([*KINDS, "limit"]), st.sampled_from([*VERSIONS, "x", "2019-09-12"])),
        max_size=8,
    ).filter(lambda events: any(text in ("x", "2019-09-12") for _, text in events))
)
def test_range_with_an_unknown_event_never_affects_the_newest(events: list[tuple[str, str]]) -> None:
    """Whatever the events, a range with an unknown one does not affect all later versions."""
    assert not affects(read_range(events), "99")
