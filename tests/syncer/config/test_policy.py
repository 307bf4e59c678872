"""mirror.toml is accepted or refused as a whole, with every problem and its remedy."""

import codecs
import functools
import itertools
import os
import re
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from mirror_syncer.config import Policy, ProjectPolicy, Selection, Serve, VersionRule, fingerprint
from mirror_syncer.config.mirror_toml.file import PolicyError, read_policy
from mirror_syncer.config.mirror_toml.tables import Document, parse_policy
from mirror_syncer.errors import ConfigurationError
from syncer.rights import ordinary

NOT_A_NAME = (
    'mirror.projects: "a b": must be a name with optional versions '
    "(Expected semicolon (after name with no version specifier) or end)"
)

A_NUMBER = "; without quotes TOML reads a number, so 3.10 becomes 3.1"
AS_IN_LOCKS = ', as in "locks/*.lock"'


def problems(tmp_path: Path, text: str) -> list[str]:
    """Return the problems of a document."""
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


def test_every_key_is_read(tmp_path: Path) -> None:
    """Each key sets its field of the policy."""
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
    requests = read.project(NormalizedName("requests"))
    rule = VersionRule(SpecifierSet("!=2.32.0,>=2.31"), 3, prereleases=False)
    assert requests is not None
    assert requests.selection == Selection("requests >= 2.31, != 2.32.0", (rule,))
    assert read.project(NormalizedName("six")) is None
    assert (read.removal.grace, read.removal.guard) == (timedelta(minutes=90), 0.025)


def test_scope_everything_selects_every_name(tmp_path: Path) -> None:
    """Scope everything selects each name; a project without a line gets `latest`, and no line is needed."""
    read = policy(tmp_path, '[mirror]\nscope = "everything"\nlatest = 2\nprojects = ["django>=5"]')
    django, other = read.project(NormalizedName("django")), read.project(NormalizedName("anything"))
    assert django is not None
    assert other is not None
    assert django.selection.rules == (VersionRule(SpecifierSet(">=5"), 2),)
    assert other.selection.rules == (VersionRule(SpecifierSet(), 2),)
    assert policy(tmp_path, '[mirror]\nscope = "everything"').projects == {}


@pytest.mark.proves("reliability/upstream")
def test_two_lines_for_one_project_are_a_union(tmp_path: Path) -> None:
    """Two lines for one project select the releases of both; a repeated line counts once."""
    read = policy(tmp_path, '[mirror]\nprojects = ["foo==1.1", "Foo == 2.0", "foo==2.0", "six", "SIX"]')
    foo, six = read.projects[NormalizedName("foo")], read.projects[NormalizedName("six")]
    each = tuple(VersionRule(SpecifierSet(version), None, prereleases=False) for version in ("==1.1", "==2.0"))
    assert foo == Selection("foo==1.1 or Foo == 2.0", each)
    assert six == Selection("six", (VersionRule(SpecifierSet(), None, prereleases=False),))


def test_line_with_its_own_latest_overrides_the_default(tmp_path: Path) -> None:
    """A line's own latest overrides the default; two lines of one project keep the releases of both."""
    read = policy(
        tmp_path,
        """
        [mirror]
        latest = 3
        projects = [
          "python-dateutil",
          "python-dateutil==2.9.0.post0",
          { name = "numpy", latest = 5 },
          { name = "NumPy", latest = 5 },
          { name = "numpy<2", latest = 1 },
        ]
        """,
    )
    dateutil, numpy = (read.projects[NormalizedName(name)].rules for name in ("python-dateutil", "numpy"))
    finals = functools.partial(VersionRule, prereleases=False)
    assert dateutil == (finals(SpecifierSet(), 3), finals(SpecifierSet("==2.9.0.post0"), 3))
    assert numpy == (finals(SpecifierSet(), 5), finals(SpecifierSet("<2"), 1))
    assert read.projects[NormalizedName("numpy")].line == "numpy, latest = 5 or numpy<2, latest = 1"


def test_contradicting_lines_are_reported_with_all_other_problems(tmp_path: Path) -> None:
    """Two values of latest for a line, and impossible versions, are reported with their lines and all else."""
    found = problems(
        tmp_path,
        """[mirror]
projects = [
  { name = "numpy", latest = 5 },
  "a b",
  { name = "Numpy", latest = 3 },
  "foo>2,<1",
]""",
    )
    assert found == [
        f"line 4: {NOT_A_NAME}",
        'line 5: mirror.projects: "Numpy": latest is 3 here and 5 in line 3; keep one of them',
        'line 6: mirror.projects: "foo>2,<1": no version can match: its conditions contradict each other',
    ]


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    """One start lists all problems, so that nobody needs a restart per mistake."""
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
        "line 2: miror is not a key of mirror.toml; did you mean mirror?",
        'line 4: mirror.scope = "all": must be one of "selected", "everything"',
        "line 5: mirror.project is not a key of mirror.toml; did you mean mirror.projects?",
        "line 6: mirror.latest = 0: must be a whole number of releases, 1 or more; omit it to keep all",
        f"line 7: {NOT_A_NAME}",
        'line 9: removal.grace = "1 day": must be a number with m, h, d or w, as in "24h"',
        'line 10: removal.guard = "101%": must be a share of all projects, as in "1%"',
        'line 12: serve.legacy_json = "yes": must be true or false, without quotes',
        "line 13: serve.legacy-json is not a key of mirror.toml; did you mean serve.legacy_json?",
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('"requests @ https://example.org/requests.whl"', 'not from a URL; write "requests"'),
        ('"requests>=x"', "must be a name with optional versions"),
        ('"-requests"', "must be a name with optional versions"),
        ('"../etc"', "must be a name with optional versions"),
        ('""', "must be a name with optional versions"),
        ("1", "must be a name with optional versions"),
        ("true", "must be a name with optional versions"),
        ("[]", "must be a name with optional versions"),
        ("2026-01-01", "must be a name with optional versions"),
        ("{ latest = 3 }", "has no name"),
        ('{ name = "a b" }', "must be a name with optional versions"),
        ('{ name = "requests", latest = 0 }', "mirror.projects.latest = 0: must be a whole number of releases"),
        (
            '{ name = "requests", lates = 1 }',
            "mirror.projects.lates is not a key of mirror.toml; did you mean mirror.projects.latest?",
        ),
    ],
)
def test_unsupported_line_is_refused(tmp_path: Path, line: str, reason: str) -> None:
    """A line with more than a name and versions is refused with line and reason; other lines are still checked."""
    [problem] = problems(tmp_path, f'[mirror]\nprojects = [\n"six",\n{line},\n"idna"]')
    assert problem.startswith("line 4: mirror.projects")
    assert reason in problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "mirror.projects = []: must name a project"),
        ("[mirror]\nprojects = []", "line 2: mirror.projects = []: must name a project"),
        ('[mirror]\nprojects = "six"', 'line 2: mirror.projects = "six": must be a list of names'),
        ('mirror = "six"', 'line 1: mirror = "six": must be a table, [mirror]'),
        ('removal = 1\n[mirror]\nprojects = ["six"]', "line 1: removal = 1: must be a table, [removal]"),
        (
            '[mirror]\nprojects = ["six"]\nscope = ["selected"]',
            'line 3: mirror.scope = ["selected"]: must be one of "selected", "everything"',
        ),
        ('[mirror]\nprojects = ["six"]\nlatest = true', "mirror.latest = true: must be a whole number"),
        ('[mirror]\nprojects = ["six"]\nlatest = "3"', 'mirror.latest = "3": must be a whole number'),
        ('[mirror]\nprojects = ["six"]\nlatest = 3.0', "mirror.latest = 3.0: must be a whole number"),
        (
            '[mirror]\nprojects = ["six"]\n[removal]\ngrace = 24',
            "line 4: removal.grace = 24: must be a number with m, h, d",
        ),
        (
            '[mirror]\nprojects = ["six"]\n[removal]\nguard = 0.01',
            "removal.guard = 0.01: must be a share of all projects",
        ),
        ('[mirror]\nprojects = ["six"]\n[sieve]', "line 3: sieve is not a key of mirror.toml; did you mean serve?"),
        (
            '[mirror]\nprojects = ["six"]\n[other]',
            "known: advisories, age, block, dependencies, files, limits, machines, mirror, removal, serve",
        ),
        ('[mirror]\nprojects = ["six"]\n[serve]\nlegacy_json = 1', "serve.legacy_json = 1: must be true or false"),
        ('[mirror]\nprojects = ["six"', "line 2: is not TOML: Unclosed array"),
        ("[mirror]\nlatest = 1\nlatest = 2", "line 3: is not TOML: "),
        (f"a = {'[' * 100_000}", "nests more than 100 levels deep"),
        (f"{'a.' * 100_000}a = 1", "nests more than 100 levels deep"),
        (f'[mirror]\nprojects = ["six"]\nlatest = {"9" * 5_000}', "is not TOML: "),
        (f'[mirror]\nprojects = ["six=={"9" * 5_000}"]', "must be a name with optional versions"),
        (
            f'[mirror]\nprojects = ["six=={"9" * 1_900}.{"9" * 4}", "six=={"9" * 1_990}"]\nlatest = 0',
            "latest = 0: must",
        ),
        (
            '[mirror]\nprojects = ["six"]\n[files]\nuploaded_after = 0001-01-01T00:00:00+10:00',
            "line 4: files.uploaded_after = 0001-01-01T00:00:00+10:00: is before the year 1 or after 9999 in UTC",
        ),
        (
            '[mirror]\nprojects = ["six"]\n[advisories]\nsource = "a\\u0000"',
            'line 4: advisories.source = "a\\u0000": must be a path or a URL without control characters',
        ),
        *(
            (text % f"six; {'(' * 900}", "must be a name with optional versions")
            for text in (
                '[mirror]\nprojects = ["%s"]',
                '[mirror]\nprojects = ["six"]\n[age]\nexempt = ["%s"]',
                '[mirror]\nprojects = ["six"]\n[block]\nprojects = ["%s"]',
            )
        ),
    ],
)
def test_wrong_value_is_reported_with_line_and_key(tmp_path: Path, text: str, problem: str) -> None:
    """A value of a wrong type is reported with line, key, value and the expected form."""
    assert problem in "\n".join(problems(tmp_path, text))


def test_all_problems_of_the_rules_are_listed_at_once(tmp_path: Path) -> None:
    """Mistakes in the tables with rules are listed at once, each with its line, its key and what is right."""
    found = problems(
        tmp_path,
        """[mirror]
projects = ["six"]
[machines]
pythons = [
  "3.11",
  3.10,
]
platforms = ["linux-x86_64", "linux"]
[files]
kinds = ["wheel", "tarball"]
uploaded_after = 2026-12-01
uploaded_before = 2026-01-01
max_file_size = "1 gig"
[age]
min = "1 week"
exempt = ["six", { allow = "a b" }, { allow = "idna", untill = 2026-12-24 }]
[block]
projects = ["/(/", { because = "bad" }]
hashes = ["md5:0123"]
[dependencies]
locks = ["../uv.lock", 3]
""",
    )
    assert [problem.split(" Accepted:")[0].removesuffix(AS_IN_LOCKS) for problem in found] == [
        f'line 6: machines.pythons: 3.1: must be text in quotes, as in "3.11"{A_NUMBER}',
        'line 8: machines.platforms: "linux" is not a platform; did you mean "linux-x86_64"?',
        'line 10: files.kinds: "tarball": must be one of "wheel", "sdist", "egg", "other"',
        "line 12: files.uploaded_before = 2026-01-01: is not later than uploaded_after, so no file is wanted",
        'line 13: files.max_file_size = "1 gig": must be a size with kB, MB, GB or TB, as in "2GB"',
        'line 15: age.min = "1 week": must be a number with m, h, d or w, as in "24h"',
        f"line 16: {NOT_A_NAME.replace('mirror.projects', 'age.exempt')}",
        "line 16: age.exempt.untill is not a key of mirror.toml; did you mean age.exempt.until?",
        'line 18: block.projects: "/(/": is no regular expression: missing ), unterminated subpattern at position 0',
        'line 18: block.projects: {"because": "bad"} has no name',
        'line 19: block.hashes: "md5:0123": must be "sha256:" and 64 hexadecimal digits',
        'line 21: dependencies.locks: "../uv.lock": must be a path below the directory of mirror.toml',
        f'line 21: dependencies.locks: 3: must be text in quotes, as in "locks/*.lock"{A_NUMBER}',
    ]


KEYS = {
    "mirror": ("scope", "latest", "include", "exclude", "projects"),
    "machines": ("pythons", "platforms", "sdists"),
    "files": (
        "prereleases",
        "yanked",
        "kinds",
        "max_file_size",
        "max_project_size",
        "uploaded_after",
        "uploaded_before",
    ),
    "age": ("min", "exempt", "not_after", "unknown", "locked"),
    "block": ("projects", "hashes"),
    "advisories": ("source", "severity", "unrated", "fixes", "ignore", "stale_after"),
    "dependencies": ("follow", "latest", "groups", "unmet", "add", "locks"),
    "limits": ("projects", "size"),
    "removal": ("grace", "guard", "superseded"),
    "serve": ("legacy_json",),
}
ODD = (
    "-1",
    "3.10",
    "true",
    '"x y"',
    '""',
    "[]",
    "[3.10]",
    '["x y"]',
    "[[]]",
    "[{}]",
    "{}",
    "{ a = [1] }",
    "1979-05-27",
)
ODD_ITEMS = ("[true]", "[07:32:00]", '[{ name = "x", latest = [] }]', '[{ allow = "x", until = 3 }]', "[{ name = {} }]")


@pytest.mark.parametrize("table", KEYS)
def test_odd_value_of_any_key_is_right_or_reported_with_its_line(tmp_path: Path, table: str) -> None:
    """A value of any type, in any key, is either accepted or reported with its line and its key."""
    for key, value in itertools.product(KEYS[table], [*ODD, *ODD_ITEMS]):
        text = f"[{table}]\n{key} = {value}\n" + ("" if table == "mirror" else "[mirror]\n")
        try:
            policy(tmp_path, text if key == "projects" and table == "mirror" else f'{text}projects = ["six"]\n')
        except PolicyError as refusal:
            wrong = [
                problem for problem in refusal.details if problem.line != 2 or f"{table}.{key}" not in str(problem)
            ]
            assert not wrong, (text, wrong)


@pytest.mark.parametrize(("grace", "hours"), [("0m", 0), ("24h", 24), ("7d", 168), ("2w", 336), ("99999w", 16_799_832)])
def test_duration_is_a_number_with_a_unit(tmp_path: Path, grace: str, hours: int) -> None:
    """A duration is a number with a unit, from 0 to any length."""
    read = policy(tmp_path, f'[mirror]\nprojects = ["six"]\n[removal]\ngrace = "{grace}"')
    assert read.removal.grace == timedelta(hours=hours)


def test_unreadable_policy_file_is_refused(tmp_path: Path) -> None:
    """A missing file, a directory, a pipe or binary data is refused with its path, without a traceback."""
    (tmp_path / "latin").write_bytes(b"[mirror]\nprojects = ['caf\xe9']")
    os.mkfifo(tmp_path / "pipe")
    for name, told in (
        ("absent.toml", "absent.toml cannot be read (No such file or directory); create it or set MIRROR_POLICY"),
        ("", "is a directory; put a file with the policy in its place"),
        ("pipe", "pipe is no regular file"),
        ("latin", "line 2: is not UTF-8"),
    ):
        with pytest.raises(ConfigurationError, match=str(tmp_path / name)) as refused:
            read_policy(tmp_path / name)
        assert told in str(refused.value)


@pytest.mark.proves("reliability/host")
def test_policy_file_without_permission_names_the_chmod(tmp_path: Path) -> None:
    """If the mode of the file or its directory hides it, the error names the chmod command that helps."""
    directory = tmp_path / "config"
    directory.mkdir(0o755)
    path = directory / "mirror.toml"
    path.write_text('[mirror]\nprojects = ["six"]')
    path.chmod(0o644)
    for place, remedy in (
        (path, r"cannot be read by user \d+ \(Permission denied\); on the host: chmod o\+r mirror\.toml$"),
        (directory, r"on the host: chmod -R o\+rX the directory of mirror\.toml, such as config$"),
    ):
        before = place.stat().st_mode
        place.chmod(0o000)
        with ordinary(), pytest.raises(ConfigurationError, match=remedy):
            read_policy(path)
        place.chmod(before)
    assert set(read_policy(path).projects) == {"six"}


@pytest.mark.proves("reliability/host")
def test_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    """A byte order mark and Windows line ends, as Notepad and PowerShell write them, change nothing."""
    path = tmp_path / "mirror.toml"
    path.write_bytes(codecs.BOM_UTF8 + b'[mirror]\r\nprojects = ["six"]\r\n')
    assert set(read_policy(path).projects) == {"six"}


def test_fingerprint_changes_only_with_the_selected_files() -> None:
    """The fingerprint depends on what is published, not on spelling or the order of specifiers."""

    def of(specifier: str, latest: int | None = None, line: str = "", *, legacy_json: bool = False) -> str:
        selection = Selection(line, (VersionRule(SpecifierSet(specifier), latest),))
        return fingerprint(ProjectPolicy(selection), legacy_json=legacy_json)

    assert of(">=1,<2,!=1.5") == of("!=1.5, <2, >=1", line="Six")
    assert len({of(""), of(">=1"), of("", 3), of("", 30), of(">=1", 3)}) == 5
    both = [VersionRule(SpecifierSet("==1"), None), VersionRule(SpecifierSet("==2"), 3)]
    one, other = (ProjectPolicy(Selection("", tuple(rules))) for rules in (both, both[::-1]))
    assert fingerprint(one, legacy_json=False) == fingerprint(other, legacy_json=False) != of("==1")
    assert of("", legacy_json=True) != of(""), "or a page that did not change would hide what else is published"


def test_digests_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    """A process with another hash seed computes the same fingerprint and digest."""
    (tmp_path / "mirror.toml").write_text(
        '[mirror]\nprojects = ["six>=1,<2,!=1.5,!=1.6", "idna"]\n[files]\nkinds = ["wheel", "sdist", "egg"]\n'
        f'[block]\nhashes = ["sha256:{"a" * 64}", "sha256:{"b" * 64}", "sha256:{"c" * 64}"]\n'
        'projects = ["evil", "acme-*", "idna==1"]\n[age]\nmin = "7d"\nexempt = ["six", "idna>2"]\n'
    )
    told = (
        "import sys, pathlib; from mirror_syncer.config import fingerprint;"
        "from mirror_syncer.config.mirror_toml.source import PolicySource;"
        "path = pathlib.Path(sys.argv[1]); source = PolicySource(path, state=path.parent);"
        "policy = source.current;"
        "print(source.digest, *(fingerprint(policy.project(name), legacy_json=False) for name in policy.projects))"
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


EXAMPLE = Path(__file__).parents[3] / "config" / "mirror.example.toml"


def test_example_shows_every_key_with_a_value_that_is_right() -> None:
    """mirror.example.toml has every key of every table, and each commented value is accepted."""
    lines = EXAMPLE.read_text().splitlines()
    shown = [line.removeprefix("# ") if re.match(r"# [a-z_]+ = ", line) else line for line in lines]
    # Patterns for names belong to the other scope.
    text = "\n".join(line for line in shown if not line.startswith(("include = ", "exclude = ")))
    parse_policy(text.encode())
    everything = "\n".join(shown).replace('scope = "selected"', 'scope = "everything"')
    parse_policy(everything.replace("follow = true", "follow = false").encode())

    tables = tomllib.loads("\n".join(shown))
    for name, field in Document.model_fields.items():
        assert field.annotation is not None
        assert set(field.annotation.model_fields) == set(tables[name])
