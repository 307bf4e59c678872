"""Laws of pins: what they keep, and how the pins of many locks become one."""

import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_contract.distributions import parse_version
from mirror_syncer.config.locks import Pin, merge_pins
from mirror_syncer.model.names import Sha256

law = settings(max_examples=300)
FOO = NormalizedName("foo")
DIGESTS = [Sha256(digit * 64) for digit in "0123456789"]

pins = st.builds(
    Pin,
    st.sampled_from([FOO, NormalizedName("bar")]),
    st.sampled_from([None, *map(Version, ("1.0", "1.0.0", "1.0+local1", "2.0rc1", "1!0.1"))]),
    st.frozensets(st.sampled_from(DIGESTS), max_size=3),
    st.builds("locks/{}.lock, line {}".format, st.sampled_from("abc"), st.integers(1, 20)),
)


@pytest.mark.parametrize(
    ("pinned", "hashes", "version", "kept"),
    [
        ("1.0", (), "1.0", True),
        ("1.0", (), "1.0.0", True),
        ("1.0", (), "1.0.post1", False),
        ("1.0", (), "1.0rc1", False),
        ("1.0", (), "1.0+cpu", True),
        ("1.0", (0,), "1.0+cpu", False),
        ("1.0+cpu", (), "1.0+cu118", False),
        ("1.0+cpu", (), "1.0", False),
        ("1.0", (1,), "3.0", True),
        (None, (1,), "3.0", True),
        (None, (1,), None, True),
        (None, (0,), "1.0", False),
    ],
)
def test_file_is_kept_by_version_or_hash(
    pinned: str | None, hashes: tuple[int, ...], version: str | None, *, kept: bool
) -> None:
    """A pin keeps the files of its version and those of its hashes; without hashes also the version's local ones."""
    pin = Pin(FOO, parse_version(pinned or ""), frozenset(DIGESTS[number] for number in hashes), "locks/a.lock")
    assert pin.keeps(parse_version(version or ""), DIGESTS[1]) is kept
    assert not pin.keeps(None, ""), "a file without a digest has no hash"


@law
@given(st.lists(pins, max_size=12), st.randoms(use_true_random=False))
def test_order_of_locks_has_no_effect(given_pins: list[Pin], chance: random.Random) -> None:
    """Merged pins, their order and their sources do not depend on the order of the locks, nor on repeated ones."""
    merged = merge_pins(given_pins)
    shuffled = given_pins * 2
    chance.shuffle(shuffled)
    again = merge_pins(shuffled)
    assert again == merged
    assert [str(pin.version) for found in again.values() for pin in found] == [
        str(pin.version) for found in merged.values() for pin in found
    ]
    assert list(again) == list(merged) == sorted(merged)
    assert [pin.source for found in again.values() for pin in found] == [
        pin.source for found in merged.values() for pin in found
    ]


@law
@given(st.lists(pins, max_size=12), st.sampled_from(["1.0", "1.0+local1", "1.0+x", "2.0rc1", "3"]))
def test_merged_pins_keep_at_least_what_each_kept_by_itself(given_pins: list[Pin], text: str) -> None:
    """A file that a lock keeps alone is kept with other locks as well, and only such files are."""
    merged, version = merge_pins(given_pins), Version(text)
    for name in {pin.project for pin in given_pins}:
        for digest in DIGESTS:
            alone = any(pin.keeps(version, digest) for pin in given_pins if pin.project == name)
            assert any(pin.keeps(version, digest) for pin in merged[name]) == alone


@law
@given(st.lists(pins, max_size=6))
def test_pins_cross_to_another_process(given_pins: list[Pin]) -> None:
    """Pins are the same after they were sent to a worker process."""
    assert pickle.loads(pickle.dumps(merge_pins(given_pins))) == merge_pins(given_pins)


def test_moved_line_makes_no_other_pin() -> None:
    """Pins differ by what they keep, and not by the lines of a lock: no page is written again after a new lock."""
    pin = Pin(FOO, Version("1.0"), frozenset(DIGESTS[:2]), "locks/a.lock, line 1")
    assert merge_pins([pin]) == merge_pins([Pin(FOO, Version("1.0"), pin.hashes, "locks/a.lock, line 9")])
    for other in (Pin(FOO, Version("1.1"), pin.hashes, ""), Pin(FOO, pin.version, frozenset(), "")):
        assert merge_pins([other]) != merge_pins([pin])


def test_reason_names_three_locks_at_most() -> None:
    """The source of a release that many locks pin names three of them, and how many more there are."""
    many = [Pin(FOO, Version("1.0"), frozenset(), f"locks/{letter}.lock, line 1") for letter in "edcba"]
    [[merged]] = merge_pins(many).values()
    assert merged.source == "locks/a.lock, line 1; locks/b.lock, line 1; locks/c.lock, line 1 and 2 more"
