"""The cooldown: no file is published before its time, and every file at its time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_contract import Choice
from mirror_syncer.config import Age, decide
from mirror_syncer.config.judgement.screening import screen
from mirror_syncer.config.machines.machines import Machines
from mirror_syncer.model.page import File, Page, ProjectStatus
from mirror_syncer.upstream.entries import parse_upload_time
from syncer.judged import (
    DAY,
    FOO,
    NOW,
    WHEELS,
    Wish,
    choices,
    contents,
    exempt,
    file,
    filename,
    is_blocked,
    is_young,
    kept,
    many_files,
    moments,
    passes,
    pin,
    publish,
    wishes,
)

pytestmark = pytest.mark.proves("reliability/cooldown")
law = settings(max_examples=200)
WEEK = Age(min=timedelta(days=7))
WHEEL, SDIST = filename("1.0", "py3-none-any.whl"), filename("1.0", ".tar.gz")


@law
@given(many_files, many_files, wishes, st.integers(NOW - 2 * DAY, NOW + 20 * DAY))
def test_nothing_is_published_before_its_time(
    files: tuple[File, ...], before: tuple[File, ...], wish: Wish, now: int
) -> None:
    """Whatever is on the page and was on it before, a file is kept only if it is old enough, or exempt, or pinned."""
    decision = decide(Page(FOO, files), publish(before), wish.policy, now=now)
    if decision.problem is None:
        for one in decision.served:
            assert not is_young(one, wish, now=now) or passes(one, wish, now=now), one


@law
@given(many_files, wishes, st.integers(NOW - 2 * DAY, NOW + 20 * DAY))
def test_only_young_files_and_their_source_distributions_wait(files: tuple[File, ...], wish: Wish, now: int) -> None:
    """What is held is too young, neither exempt nor blocked; or all wheels of its release are too young."""
    for hold in screen(FOO, files, wish.policy, published={}, now=now).held:
        one = hold.file
        assert not passes(one, wish, now=now)
        assert not is_blocked(one, wish)
        assert hold.until is None or hold.until > now
        if not is_young(one, wish, now=now):
            assert not one.filename.endswith(".whl")
            assert "waits for the wheel" in hold.reason


@law
@given(many_files, wishes, st.integers(NOW - 2 * DAY, NOW + 20 * DAY))
def test_old_wheel_never_waits(files: tuple[File, ...], wish: Wish, now: int) -> None:
    """A wheel that is old enough is not held, whatever else its release and its project got since."""
    held = contents(hold.file for hold in screen(FOO, files, wish.policy, published={}, now=now).held)
    old = [one for one in files if one.filename.endswith(".whl") and not is_young(one, wish, now=now)]
    assert not held & contents(old)


@law
@given(many_files, many_files, wishes)
def test_decision_holds_until_it_expires(files: tuple[File, ...], before: tuple[File, ...], wish: Wish) -> None:
    """Until the time at which a decision expires it stays the same; one that never expires is the same for ever."""
    page, published = Page(FOO, files), publish(before)
    first = decide(page, published, wish.policy, now=NOW)
    assert first.expires_at is None or first.expires_at > NOW
    for moment in moments(first, now=NOW):
        assert choices(decide(page, published, wish.policy, now=moment)) == choices(first)


@law
@given(many_files, wishes)
def test_file_is_published_at_the_time_that_its_hold_names(files: tuple[File, ...], wish: Wish) -> None:
    """A wheel that is held until a time is no longer held at that time."""
    screening = screen(FOO, files, wish.policy, published={}, now=NOW)
    for hold in screening.held:
        if hold.until is not None and hold.file.filename.endswith(".whl"):
            then = screen(FOO, files, wish.policy, published={}, now=hold.until)
            assert hold.file not in [other.file for other in then.held]


@law
@given(many_files, wishes)
def test_only_what_will_be_published_waits(files: tuple[File, ...], wish: Wish) -> None:
    """At its time, only newer releases or the size of its project keep a held file out: else its date was a lie."""
    for hold in screen(FOO, files, wish.policy, published={}, now=NOW).held:
        if hold.until is not None:
            then = screen(FOO, files, wish.policy, published={}, now=hold.until)
            reasons = {one.filename: reason for one, reason in then.left_out}
            reason = reasons.get(hold.file.filename, "")
            assert not reason or "not among the newest" in reason or "max_project_size" in reason


def test_young_file_that_nobody_wants_does_not_wait() -> None:
    """A young file for no machine, of a kind or a version that the policy leaves out, is left out for that reason."""
    wish = Wish(
        lines=(("<2", None, None),),
        age=WEEK,
        machines=Machines.parse(platforms=["linux-x86_64"], pythons=["3.11"]),
    )
    linux, macos = file(kind=WHEELS[1], age=DAY), file(kind=WHEELS[3], age=DAY)
    source, second = file(kind=".tar.gz", age=DAY), file("2.0", WHEELS[1], age=DAY)
    screening = screen(FOO, (linux, macos, source, second), wish.policy, published={}, now=NOW)
    assert [hold.file for hold in screening.held] == [linux]
    reasons = {one.filename: reason for one, reason in screening.left_out}
    assert "macos" in reasons[macos.filename]
    assert "wheel" in reasons[source.filename]
    assert "its version does not match" in reasons[second.filename]


def test_young_file_that_is_published_is_taken_off_at_once() -> None:
    """What is published and too young is held, also for no machine: until it leaves, nobody may download it."""
    macos = file(kind=WHEELS[3], age=DAY)
    wish = Wish(age=WEEK, machines=Machines.parse(platforms=["linux-x86_64"]))
    screening = screen(FOO, (macos, file(age=30 * DAY)), wish.policy, published={macos.filename: macos}, now=NOW)
    assert [hold.file for hold in screening.held] == [macos]


@law
@given(many_files, wishes, st.integers(0, 30 * DAY), st.integers(0, 30 * DAY))
def test_what_matured_is_never_held_again(files: tuple[File, ...], wish: Wish, first: int, later: int) -> None:
    """While a page does not change and no exemption ends, time alone unpublishes nothing."""
    lasting = Wish(**{**wish.__dict__, "exemptions": tuple(one for one in wish.exemptions if one.until is None)})
    held = [
        contents(hold.file for hold in screen(FOO, files, lasting.policy, published={}, now=now).held)
        for now in (NOW + first, NOW + first + later)
    ]
    assert held[1] <= held[0]


@law
@given(many_files, wishes, st.integers(0, 30 * DAY))
def test_mirror_is_as_upstream_was(files: tuple[File, ...], wish: Wish, past: int) -> None:
    """With a cooldown and only wheels, the mirror offers what it would without one if there were no young files."""
    wheels = tuple(one for one in files if one.filename.endswith(".whl") and one.upload_time is not None)
    simple = Wish(lines=wish.lines, machines=wish.machines, age=WEEK)
    now = NOW + past
    then = tuple(one for one in wheels if not is_young(one, simple, now=now))
    assert kept(wheels, simple.policy, now=now) == kept(then, Wish(lines=wish.lines, machines=wish.machines).policy)


@pytest.mark.parametrize(
    ("said", "old"),
    [
        ("2026-11-23T11:59:59Z", True),
        ("2026-11-23T12:00:00Z", False),  # it is a week old in this very second
        ("2026-11-23T11:59:59.999999Z", True),
        ("2026-11-23T12:00:00.000001Z", False),
        ("2026-11-23T13:59:58+02:00", True),
        ("2026-11-23T13:59:58-02:00", False),
        ("2026-11-23T06:29:59.5-05:30", True),
        ("2027-11-23T12:00:00Z", False),
        ("9999-12-31T23:59:59Z", False),
        ("0001-01-01T00:00:00Z", True),
    ],
)
def test_age_counts_from_the_upload_in_any_offset(said: str, *, old: bool) -> None:
    """A file's age is that of its own upload time, in whatever form and offset upstream gives it."""
    one = File(WHEEL, "", file().sha256, upload_time=parse_upload_time(said))
    assert bool(kept([one], Wish(age=WEEK).policy)) is old


def test_file_of_years_ago_is_published_by_a_new_mirror() -> None:
    """Age is what upstream says, not when this mirror first saw a file: a new mirror offers old releases at once."""
    assert kept([file(age=3_000 * DAY)], Wish(age=WEEK).policy) == {WHEEL}


def test_late_wheel_does_not_hide_its_release() -> None:
    """A wheel added to an old release waits by itself; the release stays as it was served for years."""
    files = [file(age=900 * DAY), file(kind=".tar.gz", age=900 * DAY), file(kind=WHEEL_312, age=DAY)]
    assert kept(files, Wish(age=WEEK).policy) == {WHEEL, SDIST}
    assert kept([file(kind=".tar.gz", age=900 * DAY), file(age=DAY)], Wish(age=WEEK).policy) == {SDIST}


WHEEL_312 = "cp312-cp312-win_amd64.whl"


def test_source_distribution_waits_for_its_wheels() -> None:
    """While a release's wheels wait, its source distribution waits with them: clients would build it."""
    files = [file(kind=".tar.gz", age=7.5 * DAY), file(age=6.5 * DAY), file(kind=WHEEL_312, age=DAY)]
    policy = Wish(age=WEEK).policy
    until = {hold.file.filename: hold.until for hold in screen(FOO, files, policy, published={}, now=NOW).held}
    assert until[SDIST] == until[WHEEL], "the first wheel that matures"
    assert kept(files, policy) == set()
    assert kept(files, policy, now=NOW + DAY) == {WHEEL, SDIST}


def test_late_wheel_takes_back_no_published_source_distribution() -> None:
    """A source distribution that is published without a wheel stays when a wheel follows it some days later."""
    sdist, wheel = file(kind=".tar.gz", age=9 * DAY), file(age=DAY)
    policy = Wish(age=WEEK).policy
    assert kept([sdist, wheel], policy) == set()
    assert kept([sdist, wheel], policy, before=[sdist]) == {SDIST}
    assert kept([sdist, wheel], policy, before=[sdist, wheel]) == set()


def test_source_distribution_does_not_wait_for_a_wheel_that_is_there() -> None:
    """A wheel that a lock lets pass is there, so the source distribution does not wait for it."""
    sdist, wheel = file(kind=".tar.gz", age=8 * DAY), file(age=DAY)
    wish = Wish(age=WEEK, pins=(pin("1.0", wheel),))
    assert kept([sdist, wheel], wish.policy) == {WHEEL, SDIST}


def test_wheel_added_to_a_locked_release_waits() -> None:
    """A lock with hashes lets those files pass, not a wheel that the owner adds to the release today."""
    locked, added = file(age=DAY), file(kind=WHEEL_312, age=0.5 * DAY)
    assert kept([locked, added], Wish(age=WEEK, pins=(pin("1.0", locked),)).policy) == {WHEEL}
    assert kept([locked, added], Wish(age=WEEK, pins=(pin("1.0"),)).policy) == {WHEEL, added.filename}
    unlocked = Age(min=timedelta(days=7), locked=False)
    assert kept([locked, added], Wish(age=unlocked, pins=(pin("1.0", locked),)).policy) == set()


def test_file_without_a_time_waits_unless_the_policy_says_otherwise() -> None:
    """A file whose upload time nobody knows is too young, however old it may be; the policy may say otherwise."""
    files = [file(age=None)]
    assert kept(files, Wish(age=WEEK).policy) == set()
    assert kept(files, Wish(age=WEEK).policy, now=NOW + 9_999 * DAY) == set()
    assert kept(files, Wish(age=Age(min=timedelta(days=7), hold_unknown=False)).policy) == {WHEEL}
    assert kept(files, Wish(age=WEEK, exemptions=(exempt(),)).policy) == {WHEEL}


def test_page_without_any_times_is_held_whole() -> None:
    """If an index gives no upload times, no file is offered, and each says why."""
    files = (file(age=None), file("2.0", age=None))
    screening = screen(FOO, files, Wish(age=WEEK).policy, published={}, now=NOW)
    assert screening.wanted == ()
    assert {hold.reason for hold in screening.held} == {
        'upstream does not say when it was uploaded; [age] unknown = "publish" publishes it'
    }
    assert screening.expires_at is None


def test_young_release_never_leaves_fewer_old_ones() -> None:
    """``latest = 1`` is the newest mature release: a young one takes no place, not even a final among pre-releases."""
    old, young = file("1.0", age=30 * DAY), file("1.1", age=DAY)
    assert kept([old, young], Wish(lines=(("", 1, False),), age=WEEK).policy) == {old.filename}
    early = file("2.0rc1", age=30 * DAY)
    assert kept([early, file("2.0", age=DAY)], Wish(lines=(("", 1, False),), age=WEEK).policy) == {early.filename}


def test_brake_holds_what_was_uploaded_after_it() -> None:
    """Nothing that was uploaded after the brake is published, whatever its age, until the policy releases it."""
    brake = Age(not_after=datetime.fromtimestamp(NOW - 3 * DAY, UTC))
    files = [file("1.0", age=3 * DAY), file("1.1", age=3 * DAY + 0.5), file("2.0", age=DAY)]
    assert kept(files, Wish(age=brake).policy) == {files[1].filename}
    assert kept(files, Wish(age=brake).policy, now=NOW + 9_999 * DAY) == {files[1].filename}
    assert kept(files, Wish(age=brake, exemptions=(exempt("==2.0"),)).policy) == {files[1].filename, files[2].filename}


def test_exemption_ends() -> None:
    """When an exemption ends, what it published is held again if it is still too young, and not before."""
    wish = Wish(age=WEEK, exemptions=(exempt(until=NOW + DAY),))
    decision = decide(Page(FOO, (file(age=DAY),)), None, wish.policy, now=NOW)
    assert decision.expires_at == NOW + DAY
    assert kept([file(age=DAY)], wish.policy, now=NOW + DAY - 1) == {WHEEL}
    assert kept([file(age=DAY)], wish.policy, now=NOW + DAY, before=[file(age=DAY)]) == set()
    assert kept([file(age=DAY)], wish.policy, now=NOW + 7 * DAY) == {WHEEL}


def test_release_of_a_version_that_no_line_selects_ends() -> None:
    """An old version that a person released leaves when the release ends, and the decision says when that is."""
    old, new = file("1.0", age=90 * DAY), file("2.0", age=80 * DAY)
    wish = Wish(lines=(("", 1, None),), age=WEEK, exemptions=(exempt("==1.0", until=NOW + DAY, released=True),))
    decision = decide(Page(FOO, (old, new)), None, wish.policy, now=NOW)
    assert {one.filename for one in decision.served} == {old.filename, new.filename}
    assert decision.expires_at == NOW + DAY
    assert kept([old, new], wish.policy, now=NOW + DAY, before=[old, new]) == {new.filename}


def test_quarantine_beats_every_exemption() -> None:
    """Upstream's quarantine takes all files off the page, whatever is exempt, released or pinned."""
    one = file(age=30 * DAY)
    wish = Wish(age=WEEK, exemptions=(exempt(released=True),), pins=(pin("1.0", one),))
    page = Page(FOO, (one,), status=ProjectStatus.QUARANTINED)
    assert decide(page, publish([one]), wish.policy, now=NOW).served == ()


def test_wrong_line_empties_no_page_because_something_waits() -> None:
    """Machines that nothing published fits leave the page as it is, although a young file also waits."""
    ours = file(kind=WHEEL_312, age=30 * DAY)
    wish = Wish(age=WEEK, machines=Machines.parse(platforms=["linux-x86_64"]), named=True)
    decision = decide(Page(FOO, (ours, file("2.0", age=DAY))), publish([ours]), wish.policy, now=NOW)
    assert decision.problem is not None
    assert choices(decision)[ours.filename, ours.sha256] is Choice.KEEP
