"""Rules that contradict each other are named, and which of them counts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mirror_syncer.config.mirror_toml.source import PolicySource
from mirror_syncer.config.mirror_toml.tables import parse_policy

Warned = Callable[[str], list[str]]


@pytest.fixture
def warned(tmp_path: Path) -> Warned:
    """Return a function that returns the warnings about a document."""
    (tmp_path / "state").mkdir()
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "requirements.txt").write_text("six==1.0\nidna==3.0\n")

    def read(text: str) -> list[str]:
        (tmp_path / "mirror.toml").write_text(text)
        return PolicySource(tmp_path / "mirror.toml", state=tmp_path / "state").state().warnings

    return read


SELECTED = '[mirror]\nprojects = ["six<2", "idna==3.0", "toml"]\n'
EVERYTHING = '[mirror]\nscope = "everything"\n'
LOCKS = '[dependencies]\nlocks = ["locks/*"]\n'


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            f'{SELECTED}[block]\nprojects = ["tom*"]',
            "'toml' is selected and blocked ([block] projects names 'tom*'): it is not mirrored",
        ),
        (
            f'{SELECTED}[block]\nprojects = [{{ name = "idna==3", because = "CVE-1" }}]',
            "'idna==3.0' is selected and blocked (CVE-1): no file of it is mirrored",
        ),
        (
            f'{SELECTED}[block]\nprojects = ["six<2"]',
            "'six<2' is selected and blocked ([block] projects names 'six<2'): no file of it is mirrored",
        ),
        (
            f'{SELECTED}[age]\nmin = "7d"\nexempt = ["toml"]\n[block]\nprojects = ["toml"]',
            "toml is exempt from the cooldown and blocked ([block] projects names 'toml'): it stays blocked",
        ),
        (
            f'{SELECTED}[age]\nmin = "7d"\nexempt = ["six==1.5"]\n[block]\nprojects = ["six>=1.4"]',
            "six is exempt from the cooldown and blocked ([block] projects names 'six>=1.4'): it stays blocked",
        ),
        (
            f'{SELECTED}[age]\nexempt = ["toml"]',
            "[age] exempt has no effect, because neither [age] min nor not_after is set: nothing waits",
        ),
        (
            f'{SELECTED}[files]\nkinds = ["sdist"]\n[machines]\nsdists = "none"',
            '[files] kinds names only sdists and [machines] sdists is "none": no file is mirrored',
        ),
        (
            f"{EVERYTHING}exclude = ['six']\n{LOCKS}",
            "six is excluded by 'six', and locks/requirements.txt, line 1 pins it: only what is pinned is mirrored",
        ),
        (
            f'{EVERYTHING}exclude = ["s*"]\nprojects = ["six"]',
            "'six' is selected, and exclude names 's*': the line counts, so it is mirrored",
        ),
        (
            f'[mirror]\nprojects = ["six>=2", "toml"]\n{LOCKS}',
            "'six>=2' does not select 1.0, and locks/requirements.txt, line 1 pins it: it is mirrored, too",
        ),
        (
            f'{SELECTED}{LOCKS}[block]\nprojects = [{{ name = "six==1.0", because = "CVE-1" }}]',
            "six 1.0 is blocked (CVE-1), and locks/requirements.txt, line 1 pins it: such a lock fails",
        ),
        (
            f'{SELECTED}{LOCKS}[block]\nprojects = [{{ name = "idna", because = "CVE-1" }}]',
            "idna is blocked (CVE-1), and locks/requirements.txt, line 2 pins it: such a lock fails",
        ),
    ],
)
def test_contradictory_rules_are_named_with_what_counts(warned: Warned, text: str, warning: str) -> None:
    """If one of two rules has no effect, one sentence names both and says which counts."""
    assert warning in warned(text)


@pytest.mark.parametrize(
    "text",
    [
        f"{SELECTED}{LOCKS}",
        f'{SELECTED}[age]\nmin = "7d"\nexempt = ["toml"]\n[block]\nprojects = ["acme-*", "six==1.1"]',
        f'{EVERYTHING}exclude = ["acme-*"]\nprojects = ["six"]\n{LOCKS}',
    ],
)
def test_rules_that_fit_together_are_not_mentioned(warned: Warned, text: str) -> None:
    """Rules that do not touch each other give no warning."""
    assert warned(text) == []


INCLUDES = (
    '[mirror]\nprojects = ["six"]\ninclude = ["s*"]\n',
    'line 3: mirror.include = ["s*"]: include narrows scope = "everything"; with "selected", projects says it all',
)
NO_TIME = (
    f"[files]\nuploaded_after = 2026-01-01\nuploaded_before = 2026-01-01\n{SELECTED}",
    "line 3: files.uploaded_before = 2026-01-01: is not later than uploaded_after, so no file is wanted",
)


@pytest.mark.parametrize(("text", "problem"), [INCLUDES, NO_TIME])
def test_rules_that_leave_nothing_are_refused_and_the_last_good_policy_stays(
    tmp_path: Path, text: str, problem: str
) -> None:
    """Rules that can only be a mistake are refused with their line; the last good policy stays in force."""
    path = tmp_path / "mirror.toml"
    path.write_text(SELECTED)
    source = PolicySource(path, state=tmp_path)
    before = source.current
    path.write_text(text)
    source.reload()

    assert [str(one) for one in source.state().problems] == [problem]
    assert source.current == before


def test_check_warns_about_the_candidate_by_its_own_locks(tmp_path: Path) -> None:
    """The check of a candidate warns about its own rules and locks, and leaves those in force alone."""
    (tmp_path / "mirror.toml").write_text(SELECTED)
    source = PolicySource(tmp_path / "mirror.toml", state=tmp_path)
    (tmp_path / "uv.lock").write_text("broken =")
    candidate = parse_policy(f'{SELECTED}[dependencies]\nlocks = ["uv.lock"]\n[block]\nprojects = ["toml"]'.encode())
    complete, (lock, block) = source.check(candidate)

    assert complete.locks == ("uv.lock",)
    assert lock.startswith("uv.lock")
    assert block == "'toml' is selected and blocked ([block] projects names 'toml'): it is not mirrored"
    assert source.state().warnings == []
