"""`mirror-syncer import` of pyproject.toml and conda's environment.yml."""

import pytest
from packaging.requirements import Requirement

from mirror_syncer.commands.importing.findings import Findings
from mirror_syncer.commands.importing.input_file import read_input
from mirror_syncer.commands.importing.poetry_constraint import convert_constraint, python_marker
from mirror_syncer.commands.importing.pyproject import PyprojectReader
from mirror_syncer.commands.importing.requirements_file import RequirementsReader
from syncer.importing import Import

STANDARD = """\
[project]
name = "Shop"
dependencies = ["attrs>=23", "celery[redis]~=5.4", "mylib", "tomli; python_version < '3.11'"]
dynamic = ["optional-dependencies"]

[project.optional-dependencies]
all = ["shop[pdf]"]
pdf = ["reportlab==4.*"]

[dependency-groups]
test = ["pytest>=8", { include-group = "types" }]
types = ["mypy", 3]

[tool.uv.sources]
mylib = { git = "https://me:hunter2@example.org/mylib" }

[build-system]
requires = ["hatchling"]
"""
POETRY = """\
[tool.poetry.dependencies]
python = "^3.11"
attrs = "^23.1"
celery = { version = "^5.4", extras = ["redis"], optional = true }
numpy = [
  { version = "~1.26", python = "<3.12" },
  { version = "^2.0", python = ">=3.12,!=3.13.1", markers = "sys_platform == 'linux' or extra == 'x'" },
]
mylib = { path = "../mylib" }
corp = { version = "*", source = "corp" }
early = { version = "^1.0", allow-prereleases = true }
wrong = "^one"
either = "^1 || ^3"

[tool.poetry.group.dev.dependencies]
black = "24.1"

[tool.poetry.dev-dependencies]
isort = "*"
"""
NOT_3_13_1 = "python_version >= '3.12' and python_full_version != '3.13.1'"
ENVIRONMENT = """\
name: shop
channels: [conda-forge]
dependencies:
  - python=3.12
  - pip
  - conda-forge::numpy>=2
  - pip:
      - flask>=3  # web
      - "idna==3.10"
      - -r base.txt
      - -e .
      - 3
  - other: [x]
"""


def requirements_of(importer: Import, text: str) -> tuple[list[str], str]:
    """Return the requirements of a pyproject.toml, and what is left out."""
    findings = Findings()
    PyprojectReader(read_input(importer.write("pyproject.toml", text)), findings).read()
    return [one.text for one in findings.wanted], "\n".join(findings.left_out)


def test_pyproject_gives_all_that_installs_builds_and_develops_it(importer: Import) -> None:
    """Dependencies, extras, groups and build requirements are taken; the project's own extras are no requirement."""
    wanted, left_out = requirements_of(importer, STANDARD)

    assert wanted == [
        "attrs>=23",
        "celery[redis]~=5.4",
        "tomli; python_version < '3.11'",
        "reportlab==4.*",
        "pytest>=8",
        "mypy",
        "hatchling",
    ]
    assert len(left_out.splitlines()) == 3
    assert "line 3: mylib comes from a git repository, and the mirror takes files from its upstream alone" in left_out
    assert "line 12: is not a requirement; write a text in quotes" in left_out
    assert "line 4: optional-dependencies is dynamic, so the build decides it" in left_out
    assert "hunter2" not in left_out


def test_poetry_tables_become_requirements_of_the_standard(importer: Import) -> None:
    """Poetry's constraints, tables and lists become requirements that every tool reads, markers and extras included."""
    wanted, left_out = requirements_of(importer, POETRY)

    assert wanted == [
        "attrs>=23.1,<24",
        "celery[redis]>=5.4,<6",
        "numpy>=1.26,<1.27 ; python_version < '3.12'",
        f"numpy>=2.0,<3 ; ({NOT_3_13_1}) and (sys_platform == 'linux' or extra == 'x')",
        "early>=1.0,<2",
        "either>=1,<2",
        "either>=3,<4",
        "isort",
        "black==24.1",
    ]
    assert all(Requirement(one) for one in wanted)
    for line, words in {
        9: "mylib comes from a path",
        10: "corp comes from another index",
        11: "early allows pre-releases, which the line does not; set [files] prereleases = true",
        12: "wrong: ^one is no constraint of Poetry's; add the line yourself",
    }.items():
        assert f"pyproject.toml, line {line}: {words}" in left_out


def test_poetry_source_of_a_standard_dependency_counts(importer: Import) -> None:
    """Poetry 2 names the source beside [project]: such a dependency is left out once, and versions are not doubled."""
    text = '[project]\ndependencies = ["a>=1", "b>=1"]\n[tool.poetry.dependencies]\na = {source = "corp"}\nb = {}\n'

    wanted, left_out = requirements_of(importer, text)

    assert wanted == ["b>=1"]
    assert left_out.startswith("pyproject.toml, line 2: a comes from another index")
    assert len(left_out.splitlines()) == 1


@pytest.mark.parametrize(
    ("constraint", "specifiers"),
    [  # each is what poetry-core 2.5 admits
        ("^1.2.3", [">=1.2.3,<2"]),
        ("^0.2.3", [">=0.2.3,<0.3"]),
        ("^0.0.3", [">=0.0.3,<0.0.4"]),
        ("^0.0", [">=0.0,<0.1"]),
        ("^0", [">=0,<1"]),
        ("^1.0rc1", [">=1.0rc1,<2"]),
        ("^1!1.0", [">=1!1.0,<1!2"]),
        ("~1.2.3", [">=1.2.3,<1.3"]),
        ("~1", [">=1,<2"]),
        ("~ 0.0.2", [">=0.0.2,<0.1"]),
        ("~=1.2.1", ["~=1.2.1"]),
        ("1.2.3", ["==1.2.3"]),
        ("=1.2", ["==1.2"]),
        ("1.2.*", ["==1.2.*"]),
        ("!=1.2.*", ["!=1.2.*"]),
        (">=1.2.*", [">=1.2"]),
        ("*", [""]),
        (">= 1.0 <3, !=2.1", [">=1.0,<3,!=2.1"]),
        ("^1 || ~3.1 | 5", [">=1,<2", ">=3.1,<3.2", "==5"]),
    ],
)
def test_poetry_constraint_is_converted(constraint: str, specifiers: list[str]) -> None:
    """A constraint of Poetry's becomes specifiers that admit the same versions, one for each alternative."""
    assert convert_constraint(constraint) == specifiers


@pytest.mark.parametrize("text", ["^x", "", "^", "1 - 2", "1,,2", "=>1", "^1.2.*", "a" * 501, "|".join("1" * 21)])
def test_wrong_poetry_constraint_is_refused(text: str) -> None:
    """What is no constraint raises an error instead of admitting anything."""
    with pytest.raises(ValueError, match=r"."):
        convert_constraint(text)


def test_python_constraint_is_exact_for_patch_releases() -> None:
    """A bound of two numbers compares python_version; any other one needs the patch release."""
    assert python_marker("^3.8") == "python_version >= '3.8' and python_version < '4'"
    assert python_marker(">3.8,<3.13.2") == "python_full_version > '3.8' and python_full_version < '3.13.2'"
    assert python_marker("~2.7 || 3.9.*") == (
        "(python_version >= '2.7' and python_version < '2.8') or (python_full_version == '3.9.*')"
    )
    assert python_marker("*") == ""


def test_environment_gives_its_pip_part(importer: Import) -> None:
    """The pip list is taken, with files that it includes; conda's own packages are left out with what to do."""
    importer.write("base.txt", "six\n")

    done = importer.import_text("environment.yml", ENVIRONMENT)

    assert done.code == 1
    assert [line for line in importer.policy.splitlines() if "flask" in line or "idna" in line or "six" in line] == [
        '  "flask>=3",',
        '  "idna==3.10",',
        '  "six",',
    ]
    for line, words in {
        6: "numpy is conda's own package, which no Python index has; add a line if pip is to install it",
        11: "an editable requirement comes from no index",
        13: "is neither a package nor a pip list",
    }.items():
        assert f"environment.yml, line {line}: {words}" in done.err
    assert "line 4" not in done.err
    assert "line 5" not in done.err


def test_environment_names_a_python_that_machines_lack(importer: Import) -> None:
    """If [machines] pythons lacks the Python of an environment, the report says what to add."""
    importer.write_policy('[mirror]\nprojects = ["six"]\n[machines]\npythons = ["3.11"]\n')

    lacking = importer.import_text("a.yml", "dependencies: [python=3.12.1, {pip: [flask]}]\n")
    named = importer.import_text("b.yml", "dependencies: [python==3.11, {pip: [flask]}]\n")

    assert 'a.yml uses Python 3.12, which [machines] pythons lacks; add "3.12" there' in lacking.err
    assert (lacking.code, named.code) == (0, 0)
    assert "[machines]" not in named.err


def test_requirements_keep_extras_and_markers(importer: Import) -> None:
    """A line of a requirements file keeps its extras and its marker."""
    findings = Findings()
    text = 'celery[redis]~=5.4 ; python_version < "3.13"  # why\nuvicorn[standard] \\\n ; sys_platform == "win32"\n'

    RequirementsReader(findings).read(read_input(importer.write("requirements.txt", text)))

    assert [one.text for one in findings.wanted] == [
        'celery[redis]~=5.4 ; python_version < "3.13"',
        'uvicorn[standard] ; sys_platform == "win32"',
    ]
