"""``[dependencies]``, ``[limits]``, and lines with extras and markers: what they mean, and which mistakes they name."""

from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName

from mirror_syncer.config import Policy
from mirror_syncer.config.mirror_toml.source import PolicySource
from mirror_syncer.config.mirror_toml.tables import parse_policy
from mirror_syncer.config.policy.closure import Dependencies, Limits
from mirror_syncer.config.policy.roots import Root
from mirror_syncer.config.toml.document import DocumentError
from mirror_syncer.model.need import Need

SIX = '[mirror]\nprojects = ["six"]\n'
EVERYTHING = '[mirror]\nscope = "everything"\n'
FOO = NormalizedName("foo")


def policy(text: str) -> Policy:
    """Return the policy of a document."""
    return parse_policy(text.encode())


def problems(text: str) -> list[str]:
    """Return what is wrong with a document."""
    with pytest.raises(DocumentError) as refusal:
        policy(text)
    return [str(problem) for problem in refusal.value.problems]


def test_every_key_of_dependencies_and_limits_is_read() -> None:
    """Each key sets its field; two spellings of a project add their requirements together."""
    read = policy(
        f"""{SIX}
        [dependencies]
        latest = 2
        groups = {{ web = ["django[argon2]", "gunicorn>=22"] }}
        unmet = "withhold"
        [dependencies.add]
        Foo_Bar = ["a>=1"]
        foo-bar = ["a>=1", "b; extra == 'x'"]
        [limits]
        projects = 2000
        size = "500GB"
        """
    )
    assert read.dependencies == Dependencies(
        follow=True,
        latest=2,
        groups={"web": ("django[argon2]", "gunicorn>=22")},
        withhold_unmet=True,
        additions={NormalizedName("foo-bar"): ("a>=1", "b; extra == 'x'")},
    )
    assert read.limits == Limits(projects=2000, size=500_000_000_000)


@pytest.mark.parametrize(
    ("text", "follow"),
    [
        (SIX, True),
        (f"{SIX}[dependencies]\nfollow = false", False),
        (f"{SIX}[dependencies]\nfollow = true", True),
        (EVERYTHING, False),
        (f"{EVERYTHING}[dependencies]\nfollow = false", False),
    ],
)
def test_dependencies_of_a_selection_are_followed_by_default(text: str, *, follow: bool) -> None:
    """A selection follows its dependencies unless the policy says otherwise; the whole index does not."""
    assert policy(text).dependencies == Dependencies(follow=follow)


def test_lines_and_groups_are_roots_of_the_closure() -> None:
    """Each line is a root with extras, versions and marker, once however it is spelt; each group is one, too."""
    read = policy(
        """[mirror]
        projects = [
          "Django[Argon_2,bcrypt]>=5.2,<6",
          "django [bcrypt,argon-2] <6, >=5.2",
          "django>=5.2,<6",
          "pywin32; sys_platform == 'win32'",
        ]
        [dependencies]
        groups = { web = ["django[argon2]", "gunicorn"] }
        """
    )
    django, plain, pywin32, web = read.roots
    extras = frozenset(map(NormalizedName, ("argon-2", "bcrypt")))
    text = "Django[Argon_2,bcrypt]>=5.2,<6"
    versions = SpecifierSet(">=5.2,<6")
    assert django == Root(text, (Need(NormalizedName("django"), extras, versions, None, text),))
    assert plain.requirements[0].extras == frozenset()
    assert pywin32.requirements[0].marker == Marker("sys_platform == 'win32'")
    assert (web.subject, [one.text for one in web.requirements]) == ("group web", ["django[argon2]", "gunicorn"])
    assert read.projects[NormalizedName("django")].line == f"{text} or django>=5.2,<6"
    assert len(read.projects[NormalizedName("django")].rules) == 1
    assert NormalizedName("gunicorn") not in read.wanted, "the closure finds it, as it finds any requirement"


def test_policy_without_dependencies_has_no_roots() -> None:
    """Without `follow`, and for a blocked line, nothing is followed."""
    assert policy(f"{SIX}[dependencies]\nfollow = false").roots == ()
    blocked = policy('[mirror]\nprojects = ["six", "idna"]\n[block]\nprojects = ["six"]')
    assert [root.subject for root in blocked.roots] == ["idna"]


@pytest.mark.parametrize("tables", ["[dependencies]\nfollow = false\n", 'scope = "everything"\n'])
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "requests[socks]>2",
            (
                'dependencies are not followed, so an extra has no effect; write "requests>2", '
                "and a line for each project that the extra needs"
            ),
        ),
        (
            "requests>2; python_version < '3'",
            'a marker has no effect, since files of all platforms are mirrored; write "requests>2"',
        ),
    ],
)
def test_extra_or_marker_without_effect_is_refused_with_its_line(tables: str, line: str, reason: str) -> None:
    """Where dependencies are not followed, an extra or a marker is a mistake, reported with all others."""
    text = f'[mirror]\nlatest = 0\nprojects = [\n"six",\n{{ name = "{line}", latest = 2 }},\n]\n{tables}'
    assert problems(text) == [
        "line 2: mirror.latest = 0: must be a whole number of releases, 1 or more; omit it to keep all",
        f'line 5: mirror.projects: "{line}": {reason}',
    ]


def test_all_problems_of_dependencies_are_listed_at_once() -> None:
    """Each mistake is listed with its line, its key and what is right, also in keys that people choose."""
    found = problems(
        """[mirror]
projects = ["six"]
[dependencies]
follow = "yes"
latst = 3
unmet = "no"
groups = { web = "django", db = [3, "a b", "x @ http://y/z.whl"], "a\\n" = ["x"] }
[dependencies.add]
"foo>=1" = ["a"]
good = [
  "a>=1",
  "c>2,<1",
]
bad = 3
[limits]
projects = 0
size = 3
sizes = "5GB"
"""
    )
    number = "without quotes TOML reads a number, so 3.10 becomes 3.1"
    assert found == [
        'line 4: dependencies.follow = "yes": must be true or false, without quotes',
        "line 5: dependencies.latst is not a key of mirror.toml; did you mean dependencies.latest?",
        'line 6: dependencies.unmet = "no": must be "report" or "withhold"',
        (
            'line 7: dependencies.groups.web = "django": must be a list of requirements for each name, as in '
            '{ web = ["django", "gunicorn>=22"] }'
        ),
        f'line 7: dependencies.groups.db: 3: must be text in quotes, as in "django[argon2]>=5"; {number}',
        (
            'line 7: dependencies.groups.db: "a b": must be a name with optional versions '
            "(Expected semicolon (after name with no version specifier) or end)"
        ),
        (
            'line 7: dependencies.groups.db: "x @ http://y/z.whl": files come from the upstream alone, not from a URL; '
            'write "x"'
        ),
        'line 7: dependencies.groups: "a\\n": must be a name for the group',
        'line 9: dependencies.add: "foo>=1": must be a project\'s name, without versions',
        'line 12: dependencies.add.good: "c>2,<1": no version can match: its conditions contradict each other',
        (
            "line 14: dependencies.add.bad = 3: must be a list of requirements for each project, as in "
            '{ example = ["numpy>=2"] }'
        ),
        "line 16: limits.projects = 0: must be a whole number of projects, 1 or more",
        'line 17: limits.size = 3: must be a size with kB, MB, GB or TB, as in "2GB"',
        "line 18: limits.sizes is not a key of mirror.toml; did you mean limits.size?",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            f"{EVERYTHING}[dependencies]\nfollow = true",
            (
                'line 4: dependencies.follow = true: scope = "everything" mirrors dependencies like all other '
                'projects; omit follow, or set scope = "selected"'
            ),
        ),
        (f"{SIX}[dependencies]\ngroups = {{ a = [] }}", "group a names no requirement"),
        (f"{SIX}[dependencies]\ngroups = 3", "dependencies.groups = 3: must be a list of requirements for each name"),
        (f"{SIX}[dependencies]\nadd = []", "dependencies.add = []: must be a list of requirements for each project"),
        (f'{SIX}[dependencies]\nadd = {{ a = ["b; {"(" * 900}"] }}', "must be a name with optional versions"),
        (f'{SIX}[dependencies]\nadd = {{ a = ["{"b" * 2_001}"] }}', "must have at most 2,000 characters"),
        (f'{SIX}[dependencies]\nadd = {{ "" = ["b"] }}', "must be a project's name"),
        (f'{SIX}[dependencies]\ngroups = {{ "" = ["b"] }}', "must be a name for the group"),
        (f"{SIX}[limits]\nprojects = true", "limits.projects = true: must be a whole number of projects, 1 or more"),
        (f'{SIX}[limit]\nsize = "1GB"', "limit is not a key of mirror.toml; did you mean limits?"),
    ],
)
def test_wrong_value_of_dependencies_is_reported(text: str, problem: str) -> None:
    """A wrong value is reported with what is right; a marker of hundreds of brackets ends in no traceback."""
    assert problem in "\n".join(problems(text))


def test_keys_without_effect_are_warned_about(tmp_path: Path) -> None:
    """What counts only where dependencies are followed is named where they are not; nothing is said otherwise."""
    path = tmp_path / "mirror.toml"

    def warnings(text: str) -> list[str]:
        path.write_text(text)
        return PolicySource(path, state=tmp_path).state().warnings

    keys = '[dependencies]\n{}latest = 2\nadd = {{ foo = ["a"] }}\n[limits]\nprojects = 5\n'
    assert warnings(SIX + keys.format("")) == []
    idle = "[dependencies] latest and add have no effect, because dependencies are not followed"
    assert warnings(SIX + keys.format("follow = false\n")) == [idle]
    assert warnings(EVERYTHING + keys.format("")) == [
        idle,
        '[limits] has no effect with scope "everything"; [files] max_project_size bounds each project',
    ]
    only = "[dependencies] unmet has no effect, because dependencies are not followed"
    assert warnings(f'{SIX}[dependencies]\nfollow = false\nunmet = "withhold"\n') == [only]
