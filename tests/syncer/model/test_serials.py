"""The rules for trusting upstream's serials, tested alone."""

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_syncer.model.serials import (
    MAX_SERIAL,
    MAX_SERIAL_LEAD,
    SerialBounds,
    is_older_list,
    judge_list,
    newest_plausible,
    published_serial,
)

counters = st.integers(10**4, 10**8)  # what PyPI and others count
poison = st.sampled_from([2**53 - 1, 2**53, 2**62, 2**63 - 1, 10**15])
serials = st.integers(0, 2**63 - 1)


def highest(listed: list[int]) -> list[int]:
    """Return serials as a list keeps them."""
    return heapq.nlargest(100, listed)


@pytest.mark.proves("reliability/upstream")
@given(listed=st.lists(counters, min_size=2), wrong=poison, own=st.none() | poison)
def test_wrong_serials_affect_no_others(listed: list[int], wrong: int, own: int | None) -> None:
    """One project's impossible serial, and that of the list, are not trusted; all other serials are."""
    judged = judge_list(own, highest([*listed, wrong]))

    assert (judged.newest, judged.own) == (newest_plausible(highest(listed)), newest_plausible(highest(listed)))
    assert wrong > judged.ceiling >= (judged.newest or 0)


@given(listed=st.lists(counters, min_size=1), ahead=st.integers(0, MAX_SERIAL_LEAD))
def test_plausible_list_is_trusted_completely(listed: list[int], ahead: int) -> None:
    """A list slightly ahead of its projects keeps its own serial and all of theirs."""
    judged = judge_list(max(listed) + ahead, highest(listed))

    assert judged.own == max(listed) + ahead
    assert judged.ceiling >= max(listed) == judged.newest


@pytest.mark.parametrize("own", [0, 5, None])
def test_list_serial_far_behind_is_not_trusted(own: int | None) -> None:
    """A list whose own serial stays at 0 while its projects' serials grow does not invalidate theirs."""
    assert judge_list(own, [43_000_000, 42_000_000, 41_000_000]).own == 43_000_000


@given(new=counters, last=serials, newest=counters)
def test_list_is_older_only_than_a_plausible_one(new: int, last: int, newest: int) -> None:
    """A list is older only than a last one with a plausible serial; an impossible one blocks nothing."""
    back = is_older_list(new, last, newest=newest)

    assert back <= (new < last <= MAX_SERIAL)
    assert not is_older_list(new, 2**63 - 1, newest=newest)
    assert is_older_list(new, new + 1, newest=newest)


@pytest.mark.proves("reliability/upstream")
@given(
    last=st.none() | serials, said=st.lists(st.tuples(st.none() | serials, st.booleans()), min_size=1), newest=counters
)
def test_published_serial_grows_with_each_change(
    last: int | None, said: list[tuple[int | None, bool]], newest: int
) -> None:
    """Whatever upstream says, a page's published serial grows with its content, and is always plausible."""
    bounds = SerialBounds(ceiling=newest + MAX_SERIAL_LEAD, newest=newest)
    published = last
    for serial, changed in said:
        before = published
        published = published_serial(bounds.trusted(serial), before, changed=changed, bounds=bounds)
        if bounds.trusted(before) is not None and before is not None:
            assert published is not None
            assert published > before if changed else published >= before
        assert published is None or published <= bounds.ceiling + len(said)


@given(serial=st.none() | serials, last=st.none() | serials, wanted=st.none() | serials, listed=st.none() | serials)
def test_page_is_older_only_than_a_plausible_one(
    serial: int | None, last: int | None, wanted: int | None, listed: int | None
) -> None:
    """A page may be older only if the last one had a trusted serial, and a later one never is."""
    bounds = SerialBounds(ceiling=10**8, listed=listed)
    older = bounds.may_be_older(serial, last, wanted=wanted)

    assert older <= (last is not None and last <= 10**8)
    if serial is not None and last is not None and last <= serial <= 10**8:
        assert not older


def test_current_list_confirms_a_lower_serial() -> None:
    """If the list is as new as the last page and gives the project a lower serial, that serial is accepted."""
    assert not SerialBounds(listed=100).may_be_older(40, 90, wanted=40)
    assert SerialBounds(listed=80).may_be_older(40, 90, wanted=40)
    assert SerialBounds(listed=100).may_be_older(40, 90, wanted=90)
