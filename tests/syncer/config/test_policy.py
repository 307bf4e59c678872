"""mirror.toml is read whole or refused whole, with every problem and its remedy."""

import codecs
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from mirror_syncer.config import Policy, PolicySource, Selection, Serve, fingerprint, read_policy
from mirror_syncer.errors import ConfigurationError
from syncer.rights import ordinary


def problems(tmp_path: Path, text: str) -> list[str]:
    """Return what is wrong with a document."""
    path = tmp_path / "mirror.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refusal:
        read_policy(path)
    assert str(path) in str(refusal.value)
    assert all(problem in str(refusal.value) for problem in refusal.value.problems)
    return refusal.value.problems


def policy(tmp_path: Path, text: str) -> Policy:
    """Return the policy of a document."""
    path = tmp_path / "mirror.toml"
    path.write_text(text)
    return read_policy(path)


def test_whole_document(tmp_path: Path) -> None:
    """Every key that there is arrives as what it means."""
    read = policy(
        tmp_path,
        """
        [mirror]
        scope = "selected"
        projects = ["Zope.Interface", "requests >= 2.31, != 2.32.0"]
        latest = 3
        [removal]
        grace = "90m"
        guard = "2.5%"
        [serve]
        legacy_json = true
        """,
    )
    assert read.serve == Serve(legacy_json=True)
    assert list(read.projects) == ["zope-interface", "requests"]
    selection = read.selection(NormalizedName("requests"))
    assert selection == Selection(
        line="requests >= 2.31, != 2.32.0", specifiers=(SpecifierSet("!=2.32.0,>=2.31"),), latest=3
    )
    assert read.selection(NormalizedName("six")) is None
    assert (read.removal.grace, read.removal.guard) == (timedelta(minutes=90), 0.025)


def test_scope_everything_selects_every_name(tmp_path: Path) -> None:
    """With everything each name is selected, by `latest` alone unless it has a line; and no line is needed."""
    read = policy(tmp_path, '[mirror]\nscope = "everything"\nlatest = 2\nprojects = ["django>=5"]')
    django, other = read.selection(NormalizedName("django")), read.selection(NormalizedName("anything"))
    assert django is not None
    assert other is not None
    assert (str(*django.specifiers), django.latest) == (">=5", 2)
    assert (str(*other.specifiers), other.latest) == ("", 2)
    assert policy(tmp_path, '[mirror]\nscope = "everything"').projects == {}


@pytest.mark.proves("reliability/upstream")
def test_two_lines_for_one_project_are_a_union(tmp_path: Path) -> None:
    """Two teams that pin two releases write two lines; a line that is said twice is one."""
    read = policy(tmp_path, '[mirror]\nprojects = ["foo==1.1", "Foo == 2.0", "foo==2.0", "six", "SIX"]')
    foo, six = read.selection(NormalizedName("foo")), read.selection(NormalizedName("six"))
    assert foo == Selection(
        line="foo==1.1 or Foo == 2.0", specifiers=(SpecifierSet("==1.1"), SpecifierSet("==2.0")), latest=None
    )
    assert six == Selection(line="six", specifiers=(SpecifierSet(),), latest=None)


def test_every_problem_at_once(tmp_path: Path) -> None:
    """One start tells all that is wrong, so that nobody fixes one line a restart."""
    found = problems(
        tmp_path,
        """
        miror = 1
        [mirror]
        scope = "all"
        project = []
        latest = 0
        projects = ["six", "a b", "SIX>1"]
        [removal]
        grace = "1 day"
        guard = "101%"
        [serve]
        legacy_json = "yes"
        legacy-json = true
        """,
    )
    assert found == [
        "miror is not a key of mirror.toml; did you mean mirror?",
        "mirror.project is not a key of mirror.toml; did you mean mirror.projects?",
        "mirror.scope = 'all': one of 'selected', 'everything'",
        "mirror.latest = 0: a whole number of releases, 1 or more; without it, all",
        "mirror.projects: 'a b' is no requirement (Expected semicolon (after name with no version specifier) or end)",
        "removal.grace = '1 day': a number with m, h, d or w, as in '24h'",
        "removal.guard = '101%': a share of all projects, as in '1%'",
        "serve.legacy-json is not a key of mirror.toml; did you mean serve.legacy_json?",
        "serve.legacy_json = 'yes': true or false, without quotes",
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('"requests[socks]"', "a name and versions alone"),
        ("\"requests; python_version < '3'\"", "a name and versions alone"),
        ('"requests @ https://example.org/requests.whl"', "a name and versions alone"),
        ('"requests>=x"', "is no requirement"),
        ('"-requests"', "is no requirement"),
        ('"../etc"', "is no requirement"),
        ('""', "is no requirement"),
        ("1", "is no requirement"),
        ("true", "is no requirement"),
        ("[]", "is no requirement"),
        ("2026-01-01", "is no requirement"),
        ('{ name = "six" }', "is no requirement"),
    ],
)
def test_line_that_selects_nothing(tmp_path: Path, line: str, reason: str) -> None:
    """A line that is more or less than a name and versions is refused with the reason, and costs no other line."""
    [problem] = problems(tmp_path, f'[mirror]\nprojects = ["six", {line}, "idna"]')
    assert problem.startswith("mirror.projects: ")
    assert reason in problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "mirror.projects names no project"),
        ("[mirror]\nprojects = []", "mirror.projects names no project"),
        ('[mirror]\nprojects = "six"', "mirror.projects = 'six': a list of strings"),
        ('mirror = "six"', "mirror = 'six': a table, [mirror]"),
        ('removal = 1\n[mirror]\nprojects = ["six"]', "removal = 1: a table, [removal]"),
        (
            '[mirror]\nprojects = ["six"]\nscope = ["selected"]',
            "mirror.scope = ['selected']: one of 'selected', 'everything'",
        ),
        ('[mirror]\nprojects = ["six"]\nlatest = true', "mirror.latest = True"),
        ('[mirror]\nprojects = ["six"]\nlatest = "3"', "mirror.latest = '3'"),
        ('[mirror]\nprojects = ["six"]\n[removal]\ngrace = 24', "removal.grace = 24: a number with m, h, d or w"),
        ('[mirror]\nprojects = ["six"]\n[removal]\nguard = 0.01', "removal.guard = 0.01: a share of all projects"),
        ('[mirror]\nprojects = ["six"]\n[sieve]', "sieve is not a key of mirror.toml; did you mean serve?"),
        ('[mirror]\nprojects = ["six"]\n[other]', "other is not a key of mirror.toml; known: mirror, removal, serve"),
        ('[mirror]\nprojects = ["six"]\n[serve]\nlegacy_json = 1', "serve.legacy_json = 1: true or false"),
        ('[mirror]\nprojects = ["six"', "is not TOML: "),
    ],
)
def test_wrong_value(tmp_path: Path, text: str, problem: str) -> None:
    """A value of the wrong kind is named with the key, the value and what would be right."""
    assert problem in "\n".join(problems(tmp_path, text))


@pytest.mark.parametrize(("grace", "hours"), [("0m", 0), ("24h", 24), ("7d", 168), ("2w", 336), ("99999w", 16_799_832)])
def test_durations(tmp_path: Path, grace: str, hours: int) -> None:
    """A duration is a number and a unit, from none to longer than anybody waits."""
    read = policy(tmp_path, f'[mirror]\nprojects = ["six"]\n[removal]\ngrace = "{grace}"')
    assert read.removal.grace == timedelta(hours=hours)


def test_document_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is missing, a directory or no text is refused with the path, never with a traceback."""
    (tmp_path / "latin").write_bytes(b"[mirror]\nprojects = ['caf\xe9']")
    for path in (tmp_path / "absent.toml", tmp_path, tmp_path / "latin"):
        with pytest.raises(ConfigurationError, match=str(path)):
            read_policy(path)


@pytest.mark.proves("reliability/host")
def test_document_with_a_byte_order_mark(tmp_path: Path) -> None:
    """What Notepad and PowerShell put before the first letter, and their line ends, change nothing."""
    path = tmp_path / "mirror.toml"
    path.write_bytes(codecs.BOM_UTF8 + b'[mirror]\r\nprojects = ["six"]\r\n')
    assert set(read_policy(path).projects) == {"six"}


def test_bad_reload_leaves_the_policy_in_force(tmp_path: Path) -> None:
    """A document that got worse is refused, and the last good one stays; a better one is put in force."""
    path = tmp_path / "mirror.toml"
    path.write_text('[mirror]\nprojects = ["six"]')
    source = PolicySource(path)
    before, digest = source.current, source.digest
    path.write_text('[mirror]\nprojects = ["six",]\nlatest = "x"')
    with pytest.raises(ConfigurationError):
        source.reload()
    assert (source.current, source.digest) == (before, digest)
    path.write_text('[mirror]\nprojects = ["six"]\nlatest = 2')
    source.reload()
    assert source.current.latest == 2
    assert source.digest != digest


def test_fingerprint_is_of_what_is_wanted() -> None:
    """Only what changes what is published changes the fingerprint: not the spelling, not the specifiers' order."""

    def of(specifier: str, latest: int | None = None, line: str = "", *, legacy_json: bool = False) -> str:
        selection = Selection(line=line, specifiers=(SpecifierSet(specifier),), latest=latest)
        return fingerprint(selection, serve=Serve(legacy_json=legacy_json))

    assert of(">=1,<2,!=1.5") == of("!=1.5, <2, >=1", line="Six")
    assert len({of(""), of(">=1"), of("", 3), of("", 30), of(">=1", 3)}) == 5
    both = [SpecifierSet("==1"), SpecifierSet("==2")]
    one, other = (Selection(line="", specifiers=tuple(lines), latest=None) for lines in (both, both[::-1]))
    assert fingerprint(one, serve=Serve()) == fingerprint(other, serve=Serve()) != of("==1")
    assert of("", legacy_json=True) != of(""), "or a page that did not change would hide what else is published"


def test_digests_outlive_the_process(tmp_path: Path) -> None:
    """Another process, with another seed for its hashes, tells the same fingerprint and the same digest."""
    (tmp_path / "mirror.toml").write_text('[mirror]\nprojects = ["six>=1,<2,!=1.5,!=1.6", "idna"]')
    told = (
        "import sys, pathlib; from mirror_syncer.config import PolicySource, fingerprint;"
        "source = PolicySource(pathlib.Path(sys.argv[1]));"
        "policy = source.current;"
        "print(source.digest, *(fingerprint(one, serve=policy.serve) for one in policy.projects.values()))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", told, str(tmp_path / "mirror.toml")],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in range(3)
    }
    assert len(said) == 1


@pytest.mark.proves("reliability/host")
def test_unreadable_document_names_the_remedy(tmp_path: Path) -> None:
    """A document that its mode, or its directory's, hides from the syncer is told with the chmod that shows it."""
    directory = tmp_path / "config"
    directory.mkdir(0o755)
    policy = directory / "mirror.toml"
    policy.write_text('mirror.projects = ["six"]\n')
    policy.chmod(0o644)
    for place, mode, remedy in (
        (policy, 0o000, r"cannot be read by user \d+ \(Permission denied\); on the host: chmod o\+r mirror\.toml$"),
        (directory, 0o000, r"on the host: chmod o\+rx the directory of mirror\.toml$"),
    ):
        before = place.stat().st_mode
        place.chmod(mode)
        with ordinary(), pytest.raises(ConfigurationError, match=remedy):
            read_policy(policy)
        place.chmod(before)
    with ordinary():
        assert "six" in read_policy(policy).projects
