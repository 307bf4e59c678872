"""
The filters of bandersnatch and their twins: both choose the same files of a small index.

What bandersnatch leaves out was recorded from the filter classes of bandersnatch 8.2.0 itself, with packaging 26.4.
"""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from mirror_contract import parse_project_name
from mirror_syncer.commands.bandersnatch_conf import Conversion, convert
from mirror_syncer.commands.bandersnatch_conf.ini_file import IniFile
from mirror_syncer.config.judgement.judgement import decide
from mirror_syncer.config.mirror_toml.file import judge_policy
from mirror_syncer.errors import ConfigurationError
from mirror_syncer.model.names import parse_filename, parse_sha256
from mirror_syncer.model.page import File, Page

PURE = ("{name}-{version}-py3-none-any.whl", "{name}-{version}.tar.gz")
NATIVE = (
    "{name}-{version}-cp27-cp27m-win32.whl",
    "{name}-{version}-cp27-cp27mu-manylinux1_x86_64.whl",
    "{name}-{version}-cp311-cp311-macosx_11_0_arm64.whl",
    "{name}-{version}-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "{name}-{version}-cp312-cp312-manylinux_2_28_aarch64.whl",
    "{name}-{version}-cp312-cp312-musllinux_1_2_x86_64.whl",
    "{name}-{version}-cp312-cp312-win_amd64.whl",
    "{name}-{version}-cp313-cp313t-manylinux_2_28_x86_64.whl",
    "{name}-{version}-pp310-pypy310_pp73-manylinux_2_28_x86_64.whl",
    "{name}-{version}-cp39-abi3-win_arm64.whl",
    "{name}-{version}-py3-none-any.whl",
    "{name}-{version}-py2.7.egg",
    "{name}-{version}.win-amd64-py2.7.exe",
    "{name}-{version}.tar.gz",
)
# By the name that upstream shows: the files of each version. The last final release is the latest one for PyPI.
INDEX: dict[str, dict[str, tuple[str, ...]]] = {
    "stable": {"1.0": PURE, "1.1": PURE, "2.0": PURE},
    "plain": {"1.0": PURE, "1.1": PURE, "2.0a1": PURE, "2.0": PURE, "2.1rc1": PURE},
    "native": {"1.0": NATIVE},
    "Foo_Bar": {"1.0": PURE, "2.0": PURE},
    "tf-nightly": {"1.0": PURE},
    "tf": {"1.0": PURE},
}
# In the order of the versions above, for all files of the release.
REQUIRES = {"stable": (">=2.7", ">=3.8", ">=3.12")}
SIZE = 1_000  # bytes of each file
NOW = 1_800_000_000
SEPARATOR = ", "


@dataclass(frozen=True)
class Case:
    """A configuration, and what bandersnatch leaves out."""

    filters: str
    """Plug-ins, then the sections."""
    left_out: str
    """Projects, releases (``NAME VERSION``) and files."""
    requirements: str = ""
    """The requirement file ``r.txt``."""


def file_names(project: str, version: str) -> list[str]:
    """Return the names of a release's files."""
    name = project.lower().replace("-", "_")
    return [form.format(name=name, version=version) for form in INDEX[project][version]]


def describe(kept: set[str]) -> str:
    """Return the part of the index that is not kept, in as few words as possible."""
    told = []
    for project, releases in INDEX.items():
        missing = {version: set(file_names(project, version)) - kept for version in releases}
        if all(missing[version] == set(file_names(project, version)) for version in releases):
            told.append(project)
            continue
        for version, files in missing.items():
            if files == set(file_names(project, version)):
                told.append(f"{project} {version}")
            else:
                told += [name for name in file_names(project, version) if name in files]
    return SEPARATOR.join(told)


def configuration(case: Case) -> str:
    """Return the configuration file of a case."""
    plugins, *sections = case.filters.split("\n", 1)
    return "[plugins]\nenabled =\n  " + "\n  ".join(plugins.split()) + "\n" + "".join(sections)


CASES = {
    "nothing is filtered": Case("", ""),
    "projects": Case(
        ("allowlist_project\n[allowlist]\npackages =\n  stable\n  foo.bar  # as they like it\n"),
        "plain, native, tf-nightly, tf",
    ),
    "projects with versions that do not count": Case(
        "allowlist_project\n[allowlist]\npackages =\n  stable<2\n  plain\n", "native, Foo_Bar, tf-nightly, tf"
    ),
    "projects with versions": Case(
        (
            "allowlist_project allowlist_release\n"
            "[allowlist]\n"
            "packages =\n"
            "  stable<2\n"
            "  plain>=2.0a1\n"
            "  foo_bar[x]==2.*; python_version > '3'\n"
        ),
        "stable 2.0, plain 1.0, plain 1.1, native, Foo_Bar 1.0, tf-nightly, tf",
    ),
    "versions without the filter of projects": Case(
        ("allowlist_release\n[allowlist]\npackages =\n  stable==1.0\n  stable>=2\n"),
        "stable 1.1, plain, native, Foo_Bar, tf-nightly, tf",
    ),
    "versions that contradict each other": Case(
        ("allowlist_project allowlist_release\n[allowlist]\npackages =\n  stable>2,<1\n  tf\n"),
        "stable, plain, native, Foo_Bar, tf-nightly",
    ),
    "blocked projects": Case(
        ("blocklist_project\n[blocklist]\npackages =\n  tf_nightly\n  Foo.Bar\n  stable>=2\n  tf[x]\n"),
        "Foo_Bar, tf-nightly",
    ),
    "blocked versions": Case(
        (
            "blocklist_project blocklist_release\n"
            "[blocklist]\n"
            "packages =\n"
            "  tf-nightly\n"
            "  stable>=1.1,<2\n"
            "  plain<=2.0a1\n"
        ),
        "stable 1.1, plain 1.0, plain 1.1, plain 2.0a1, tf-nightly",
    ),
    "blocked versions alone": Case("blocklist_release\n[blocklist]\npackages =\n  tf\n  plain>2\n", "plain 2.1rc1, tf"),
    "allowed and blocked": Case(
        (
            "allowlist_project blocklist_project\n"
            "[allowlist]\n"
            "packages =\n"
            "  stable\n"
            "  tf\n"
            "[blocklist]\n"
            "packages =\n"
            "  tf\n"
        ),
        "plain, native, Foo_Bar, tf-nightly, tf",
    ),
    "requirement files": Case(
        "project_requirements\n[allowlist]\nrequirements = r.txt\n",
        "plain, native, tf-nightly, tf",
        requirements=("# ours\n-i https://index.example.org\nstable==1.0\nFoo-Bar  # and theirs\n"),
    ),
    "pinned requirement files": Case(
        ("project_requirements project_requirements_pinned\n[allowlist]\nrequirements = r*.txt\n"),
        "stable 1.1, stable 2.0, plain 1.0, plain 1.1, plain 2.1rc1, native, Foo_Bar, tf-nightly",
        requirements="stable==1.0\nplain>=2.0a1,<2.1\ntf\n",
    ),
    "pins and the newest": Case(
        (
            "project_requirements project_requirements_pinned latest_release\n"
            "[allowlist]\n"
            "requirements = r.txt\n"
            "[latest_release]\n"
            "keep = 1\n"
        ),
        "stable 2.0, plain, native, Foo_Bar 1.0, tf-nightly, tf",
        requirements="stable<2\nfoo-bar\n",
    ),
    "pins and blocked versions": Case(
        (
            "project_requirements_pinned blocklist_release prerelease_release\n"
            "[allowlist]\n"
            "requirements = r.txt\n"
            "[blocklist]\n"
            "packages =\n"
            "  stable==1.0\n"
            "  tf==1.0\n"
            "[filter_prerelease]\n"
        ),
        SEPARATOR.join(
            (
                "stable 1.1",
                "stable 2.0",
                "plain 1.0",
                "plain 1.1",
                "plain 2.0a1",
                "plain 2.0",
                "native",
                "tf-nightly",
                "tf",
            )
        ),
        requirements="stable==1.0\nplain==2.1rc1\ntf\nfoo_bar\n",
    ),
    "allowlist and requirement files": Case(
        ("allowlist_project project_requirements\n[allowlist]\npackages =\n  stable\n  tf\nrequirements = r.txt\n"),
        "stable, plain, native, Foo_Bar, tf-nightly",
        requirements="tf\nplain\n",
    ),
    "patterns for names": Case(
        ("regex_project\n[filter_regex]\npackages =\n  .+-nightly$\n  sta\n  x|nat|y\n"), "stable, native, tf-nightly"
    ),
    "patterns for selected names": Case(
        (
            "allowlist_project regex_project\n"
            "[allowlist]\n"
            "packages =\n"
            "  stable\n"
            "  tf\n"
            "  tf-nightly\n"
            "[filter_regex]\n"
            "packages = .+-nightly$\n"
        ),
        "plain, native, Foo_Bar, tf-nightly",
    ),
    "pre-releases": Case("prerelease_release\n", "plain 2.0a1, plain 2.1rc1"),
    "pre-releases of the selected projects": Case(
        (
            "allowlist_project prerelease_release\n"
            "[allowlist]\n"
            "packages =\n"
            "  plain\n"
            "  tf\n"
            "[filter_prerelease]\n"
            "packages =\n"
            "  plain\n"
            "  tf\n"
        ),
        "stable, plain 2.0a1, plain 2.1rc1, native, Foo_Bar, tf-nightly",
    ),
    "pre-releases by patterns": Case(
        ("regex_release\n[filter_regex]\nreleases =\n  .+rc\\d+$\n  .+a(lpha)?\\d+$\n  .+b(eta)?\\d+$\n  .+dev\\d+$\n"),
        "plain 2.0a1, plain 2.1rc1",
    ),
    "the newest": Case(
        (
            "allowlist_project latest_release\n"
            "[allowlist]\n"
            "packages =\n"
            "  stable\n"
            "  foo-bar\n"
            "[latest_release]\n"
            "keep = 1\n"
        ),
        "stable 1.0, stable 1.1, plain, native, Foo_Bar 1.0, tf-nightly, tf",
    ),
    "the newest two of all projects": Case(
        (
            "latest_release prerelease_release blocklist_project\n"
            "[latest_release]\n"
            "keep = 2\n"
            "sort_by = version\n"
            "[blocklist]\n"
            "packages = plain\n"
        ),
        "stable 1.0, plain",
    ),
    "no number of releases": Case("latest_release\n[latest_release]\nkeep = many\n", ""),
    "platforms": Case(
        ("exclude_platform\n[blocklist]\nplatforms = windows macos freebsd\n"),
        SEPARATOR.join(
            (
                "native-1.0-cp27-cp27m-win32.whl",
                "native-1.0-cp311-cp311-macosx_11_0_arm64.whl",
                "native-1.0-cp312-cp312-win_amd64.whl",
                "native-1.0-cp39-abi3-win_arm64.whl",
                "native-1.0.win-amd64-py2.7.exe",
            )
        ),
    ),
    "linux": Case(
        "exclude_platform\n[blocklist]\nplatforms = linux\n",
        SEPARATOR.join(
            (
                "native-1.0-cp27-cp27mu-manylinux1_x86_64.whl",
                "native-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
                "native-1.0-cp312-cp312-manylinux_2_28_aarch64.whl",
                "native-1.0-cp312-cp312-musllinux_1_2_x86_64.whl",
                "native-1.0-cp313-cp313t-manylinux_2_28_x86_64.whl",
                "native-1.0-pp310-pypy310_pp73-manylinux_2_28_x86_64.whl",
            )
        ),
    ),
    "a tag of Windows": Case(
        ("exclude_platform\n[blocklist]\nplatforms = win_amd64 win-amd64\n"),
        "native-1.0-cp312-cp312-win_amd64.whl, native-1.0.win-amd64-py2.7.exe",
    ),
    "Pythons": Case(
        ("exclude_platform\n[blocklist]\nplatforms =\n  py2.7\n  py3.13\n  py3.10\n"),
        SEPARATOR.join(
            (
                "native-1.0-cp27-cp27m-win32.whl",
                "native-1.0-cp27-cp27mu-manylinux1_x86_64.whl",
                "native-1.0-cp313-cp313t-manylinux_2_28_x86_64.whl",
                "native-1.0-pp310-pypy310_pp73-manylinux_2_28_x86_64.whl",
                "native-1.0-py2.7.egg",
                "native-1.0.win-amd64-py2.7.exe",
            )
        ),
    ),
    "kinds of files": Case(
        (
            "regex_release_file_metadata\n"
            "[regex_release_file_metadata]\n"
            "any:release_file.packagetype =\n"
            "  sdist\n"
            "  bdist_wheel\n"
        ),
        "native-1.0-py2.7.egg, native-1.0.win-amd64-py2.7.exe",
    ),
    "kinds of files to leave out": Case(
        (
            "regex_release_file_metadata\n"
            "[regex_release_file_metadata]\n"
            "none:release_file.packagetype =\n"
            "  bdist_(dmg|dumb|egg|msi|rpm|wininst)\n"
        ),
        "native-1.0-py2.7.egg, native-1.0.win-amd64-py2.7.exe",
    ),
    "kinds of files by a search": Case(
        (
            "regex_release_file_metadata\n"
            "[regex_release_file_metadata]\n"
            "search = yes\n"
            "release_file.packagetype = wheel\n"
        ),
        SEPARATOR.join(
            (
                "stable-1.0.tar.gz",
                "stable-1.1.tar.gz",
                "stable-2.0.tar.gz",
                "plain-1.0.tar.gz",
                "plain-1.1.tar.gz",
                "plain-2.0a1.tar.gz",
                "plain-2.0.tar.gz",
                "plain-2.1rc1.tar.gz",
                "native-1.0-py2.7.egg",
                "native-1.0.win-amd64-py2.7.exe",
                "native-1.0.tar.gz",
                "foo_bar-1.0.tar.gz",
                "foo_bar-2.0.tar.gz",
                "tf_nightly-1.0.tar.gz",
                "tf-1.0.tar.gz",
            )
        ),
    ),
    "requires-python": Case(
        (
            "allowlist_project version_range_release_file_metadata\n"
            "[allowlist]\n"
            "packages =\n"
            "  stable\n"
            "  tf\n"
            "[version_range_release_file_metadata]\n"
            "release_file.requires_python =\n"
            "  3.8\n"
            "  3.11\n"
        ),
        "stable 2.0, plain, native, Foo_Bar, tf-nightly",
    ),
    "size": Case(("size_project_metadata\n[size_project_metadata]\nmax_package_size = 14k\n[allowlist]\n"), ""),
    "size with exempt projects only": Case(
        (
            "allowlist_project size_project_metadata\n"
            "[size_project_metadata]\n"
            "max_package_size = 1b\n"
            "[allowlist]\n"
            "packages = native\n"
        ),
        "stable, plain, Foo_Bar, tf-nightly, tf",
    ),
}


def page_of(project: str) -> Page:
    """Return the page of a project of the index."""
    requires = REQUIRES.get(project, (None,) * len(INDEX[project]))
    files = [
        File(
            filename=parse_filename(filename),
            url=f"https://files.example.org/packages/{filename}",
            sha256=parse_sha256(hashlib.sha256(filename.encode()).hexdigest()),
            size=SIZE,
            upload_time="2024-01-01T00:00:00Z",
            requires_python=requires_python,
        )
        for version, requires_python in zip(INDEX[project], requires, strict=True)
        for filename in file_names(project, version)
    ]
    return Page(name=parse_project_name(project), files=tuple(files))


def files_kept(document: str) -> set[str]:
    """Return the names of the files that a mirror.toml keeps of the index."""
    policy = judge_policy(document.encode(), path=Path("mirror.toml"))
    kept = set()
    for project in INDEX:
        page = page_of(project)
        if (wanted := policy.project(page.name)) is not None:
            kept |= {str(file.filename) for file in decide(page, None, wanted, now=NOW).keep}
    return kept


@pytest.fixture
def in_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a directory the current one, by which bandersnatch finds requirement files."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def converted(case: Case, directory: Path) -> Conversion:
    """Convert the configuration of a case."""
    if case.requirements:
        (directory / "r.txt").write_text(case.requirements)
    return convert(IniFile(configuration(case).encode(), name="bandersnatch.conf"))


@pytest.mark.parametrize("name", CASES)
def test_import_selects_the_files_that_bandersnatch_selects(name: str, in_directory: Path) -> None:
    """The mirror.toml of an import keeps the files that bandersnatch keeps, and nothing lacks a twin."""
    conversion = converted(CASES[name], in_directory)

    assert conversion.document is not None
    assert describe(files_kept(conversion.document)) == CASES[name].left_out, conversion.document
    assert not conversion.findings.without_twin()


@pytest.mark.parametrize(
    ("filters", "subject", "remedy"),
    [
        ("regex_release\n[filter_regex]\nreleases = .+alpha\\d$\n", "[filter_regex] releases", "[block] projects"),
        ("regex_project\n[filter_regex]\npackages = Foo_.+\n", "[filter_regex] packages", "[mirror] exclude"),
        ("latest_release\n[latest_release]\nkeep = 2\nsort_by = time\n", "[latest_release] sort_by", "uploaded_after"),
        ("latest_release\n[latest_release]\nkeep = -2\n", "[latest_release] keep", "[mirror] latest"),
        ("exclude_platform\n[blocklist]\nplatforms = py2\n", "[blocklist] platforms", "py2: [machines]"),
        ("exclude_platform\n[blocklist]\nplatforms = manylinux2014_x86_64\n", "[blocklist] platforms", "[machines]"),
        (
            "prerelease_release\n[filter_prerelease]\npackages = foo\n",
            "[filter_prerelease] packages",
            "prereleases = false",
        ),
        (
            "regex_project_metadata\n[regex_project_metadata]\nnot-null:info.classifiers = .*Python.*\n",
            "[regex_project_metadata] not-null:info.classifiers",
            "[mirror] projects",
        ),
        (
            "regex_release_file_metadata\n[regex_release_file_metadata]\nnone:release_file.filename = .*win32.*\n",
            "[regex_release_file_metadata] none:release_file.filename",
            "[files] kinds",
        ),
        (
            (
                "version_range_release_file_metadata\n"
                "[version_range_release_file_metadata]\n"
                "not-null:release_file.requires_python = 3.11\n"
            ),
            "[version_range_release_file_metadata] not-null:release_file.requires_python",
            "[machines] pythons",
        ),
        (
            "versions_count_project_metadata\n[versions_count_project_metadata]\nmin_versions = 2\n",
            "[versions_count_project_metadata] min_versions",
            "latest",
        ),
        (
            "size_project_metadata\n[size_project_metadata]\nmax_package_size = 1G\n[allowlist]\npackages = numpy\n",
            "[allowlist] packages",
            "max_project_size",
        ),
        ("mirror_by_mail\n", "plug-in mirror_by_mail", "nothing was written"),
    ],
)
def test_filter_without_twin_is_listed_with_what_to_do(
    filters: str, subject: str, remedy: str, in_directory: Path
) -> None:
    """A filter that mirror.toml cannot express is listed with the key that comes closest."""
    conversion = converted(Case(filters, ""), in_directory)

    (finding,) = conversion.findings.without_twin()
    assert finding.subject == subject
    assert remedy in finding.sentence


def test_pinned_range_keeps_all_its_releases_beside_latest(in_directory: Path) -> None:
    """latest_release does not count what a requirement file pins, so each other line gets its own `latest`."""
    filters = "project_requirements project_requirements_pinned latest_release\n[allowlist]\nrequirements = r.txt\n"
    conversion = converted(Case(f"{filters}[latest_release]\nkeep = 3\n", "", "stable<2\ntf\n"), in_directory)

    assert conversion.document is not None
    assert tomllib.loads(conversion.document)["mirror"] == {"projects": ["stable<2", {"name": "tf", "latest": 3}]}


def test_latest_keeps_the_releases_that_bandersnatch_counts(in_directory: Path) -> None:
    """bandersnatch's newest two may be pre-releases; they are mirrored beside the newest two final releases."""
    conversion = converted(Case("latest_release\n[latest_release]\nkeep = 2\n", ""), in_directory)

    assert conversion.document is not None
    kept = files_kept(conversion.document)
    assert kept >= {*file_names("plain", "2.0"), *file_names("plain", "2.1rc1"), *file_names("stable", "1.1")}
    assert not kept & {*file_names("plain", "1.0"), *file_names("plain", "2.0a1"), *file_names("stable", "1.0")}


def test_names_that_other_filters_leave_out_are_listed(in_directory: Path) -> None:
    """Where two filters name projects, the import says which names do not stand in both."""
    filters = "allowlist_project project_requirements\n[allowlist]\npackages =\n  stable\n  tf\nrequirements = r.txt\n"
    conversion = converted(Case(filters, "", "tf\nplain\n"), in_directory)

    sentences = {finding.subject: finding.sentence for finding in conversion.findings.list_all()}
    assert sentences["[allowlist] packages"].endswith("leave out stable")
    assert sentences["[allowlist] requirements"].endswith("leave out plain")


@pytest.mark.parametrize(
    ("size", "limit"),
    [
        ("1G", "1GiB"),
        ("1.5 GB", "1536MiB"),
        ("500 megabytes", "500MiB"),
        ("1000000", "1MB"),
        ("1234567b", "1234.567kB"),
        ("5KiB", "5KiB"),
        ("much", None),
        ("0", None),
    ],
)
def test_size_is_written_to_the_byte(size: str, limit: str | None, in_directory: Path) -> None:
    """A size means powers of 1024 to bandersnatch, whatever its unit; without a usable number it has no effect."""
    filters = f"size_project_metadata\n[size_project_metadata]\nmax_package_size = {size}\n"
    conversion = converted(Case(filters, ""), in_directory)

    assert conversion.document is not None
    files = tomllib.loads(conversion.document).get("files", {})
    assert files == ({} if limit is None else {"max_project_size": limit})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_requirement_file_is_read_in_any_encoding_with_a_mark(encoding: str, in_directory: Path) -> None:
    """A requirement file that Windows wrote is read by its byte order mark."""
    (in_directory / "r.txt").write_bytes("stable==1.0\r\n".encode(encoding))
    filters = "project_requirements project_requirements_pinned\n[allowlist]\nrequirements = r.txt\n"

    conversion = converted(Case(filters, ""), in_directory)

    assert conversion.document is not None
    assert tomllib.loads(conversion.document)["mirror"]["projects"] == ["stable==1.0"]


@pytest.mark.parametrize("encoding", ["undefined", "nowhere"])
def test_requirement_file_in_an_unknown_encoding_is_named(encoding: str, in_directory: Path) -> None:
    """A requirement file that names an encoding which decodes nothing is named, with what to do."""
    (in_directory / "r.txt").write_text(f"# coding: {encoding}\nstable\n")

    with pytest.raises(ConfigurationError, match=r"r\.txt: 1 problem\(s\)\n  - is not UTF-8; save"):
        converted(Case("project_requirements\n[allowlist]\nrequirements = r.txt\n", ""), in_directory)


def test_requirement_file_with_a_wrong_line_is_named_with_the_line(in_directory: Path) -> None:
    """A requirement file that bandersnatch cannot read is named with its line."""
    filters = "project_requirements\n[allowlist]\nrequirements = r.txt\n"

    with pytest.raises(ConfigurationError, match=r"r\.txt: 1 problem\(s\)\n  - line 2: "):
        converted(Case(filters, "", "tf\nstable==1.0 \\\n    --hash=sha256:aa\n"), in_directory)
