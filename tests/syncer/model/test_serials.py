"""How far upstream's serials are believed, judged by themselves."""

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
def test_one_wrong_serial_changes_nothing_for_the_others(listed: list[int], wrong: int, own: int | None) -> None:
    """One project's impossible serial, and a list's own, are not believed; all other serials are."""
    judged = judge_list(own, highest([*listed, wrong]))

    assert (judged.newest, judged.own) == (newest_plausible(highest(listed)), newest_plausible(highest(listed)))
    assert wrong > judged.ceiling >= (judged.newest or 0)


@given(listed=st.lists(counters, min_size=1), ahead=st.integers(0, MAX_SERIAL_LEAD))
def test_plausible_list_is_believed_whole(listed: list[int], ahead: int) -> None:
    """A list a little ahead of its projects keeps its own serial and all of theirs."""
    judged = judge_list(max(listed) + ahead, highest(listed))

    assert judged.own == max(listed) + ahead
    assert judged.ceiling >= max(listed) == judged.newest


@pytest.mark.parametrize("own", [0, 5, None])
def test_own_serial_that_lags_far_behind_is_not_believed(own: int | None) -> None:
    """A list whose own serial stands at 0 while its projects' move does not take theirs along."""
    assert judge_list(own, [43_000_000, 42_000_000, 41_000_000]).own == 43_000_000


@given(new=counters, last=serials, newest=counters)
def test_list_goes_back_from_plausible_serials_alone(new: int, last: int, newest: int) -> None:
    """A list is older only than a last one whose serial can have been one; an impossible one holds nothing back."""
    back = is_older_list(new, last, newest=newest)

    assert back <= (new < last <= MAX_SERIAL)
    assert not is_older_list(new, 2**63 - 1, newest=newest)
    assert is_older_list(new, new + 1, newest=newest)


@pytest.mark.proves("reliability/upstream")
@given(
    last=st.none() | serials, said=st.lists(st.tuples(st.none() | serials, st.booleans()), min_size=1), newest=counters
)
def test_published_serial_moves_with_content_and_never_goes_back(
    last: int | None, said: list[tuple[int | None, bool]], newest: int
) -> None:
    """Whatever upstream says, a page's published serial rises when its content changes, and is always plausible."""
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
def test_page_is_older_than_plausible_pages_alone(
    serial: int | None, last: int | None, wanted: int | None, listed: int | None
) -> None:
    """A page is suspected only beside a last one that had a believed serial, and a later one never is."""
    bounds = SerialBounds(ceiling=10**8, listed=listed)
    older = bounds.may_be_older(serial, last, wanted=wanted)

    assert older <= (last is not None and last <= 10**8)
    if serial is not None and last is not None and last <= serial <= 10**8:
        assert not older


def test_list_as_new_as_the_last_page_decides() -> None:
    """Where the list knows of the last page's serial and gives the project a lower one, that is taken."""
    assert not SerialBounds(listed=100).may_be_older(40, 90, wanted=40)
    assert SerialBounds(listed=80).may_be_older(40, 90, wanted=40)
    assert SerialBounds(listed=100).may_be_older(40, 90, wanted=90)
