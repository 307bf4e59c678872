"""Which releases pip can install on which machines, as proofs ask for them thousands of times."""

from packaging.utils import NormalizedName
from packaging.version import Version

from mirror_syncer.closure.client_masks import bits
from mirror_syncer.closure.machine_releases import InstallableReleases
from mirror_syncer.closure.project import Project
from mirror_syncer.config.judgement.admission import Admission
from mirror_syncer.config.judgement.candidates import Candidates
from mirror_syncer.config.machines.compatibility import compatibility
from mirror_syncer.config.mirror_toml.tables import parse_policy
from mirror_syncer.model.names import Filename, Sha256
from mirror_syncer.model.page import File

FOO = NormalizedName("foo")
POLICY = parse_policy(
    b'[mirror]\nprojects = ["foo"]\n'
    b'[machines]\npythons = ["3.11", "3.12"]\nplatforms = ["linux-x86_64", "windows-amd64"]\n'
)
FITS = compatibility(POLICY.rules.machines)
MACHINES = list(bits(0b1111))
"""3.11 on Linux and Windows, then 3.12."""


def project() -> Project:
    """Return a project with a release for all machines, one for Windows, and a yanked one for Python 3.12."""
    files = [
        file("foo-1.0-py3-none-any.whl"),
        file("foo-2.0-py3-none-win_amd64.whl"),
        file("foo-3.0-cp312-cp312-manylinux_2_17_x86_64.whl", yanked=True),
    ]
    policy = POLICY.project(FOO)
    assert policy is not None
    found = Project(FOO)
    found.candidates = Candidates.fitted(Admission(FOO, files, policy, published={}, now=0))
    return found


def file(name: str, *, yanked: bool = False) -> File:
    """Return a file of a page."""
    return File(Filename(name), f"https://upstream.example/{name}", Sha256("0" * 64), yanked=yanked)


def versions(installable: InstallableReleases, found: Project) -> list[list[str]]:
    """Return the versions on each machine, marked where they are kept or yanked."""
    return [
        [
            f"{one.version}{' kept' * one.is_kept}{' yanked' * one.is_yanked}"
            for one in installable.candidates(machine, found)
        ]
        for machine in MACHINES
    ]


def test_each_machine_has_the_releases_that_fit_it() -> None:
    """A release is a candidate on the machines that have a file of it, a yanked one as such."""
    assert versions(InstallableReleases(FITS, are_fitted=True), project()) == [
        ["1.0"],
        ["2.0", "1.0"],
        ["3.0 yanked", "1.0"],
        ["2.0", "1.0"],
    ]


def test_list_is_made_once() -> None:
    """Machines that the same releases fit share a list, and asking again gives the same one."""
    installable, found = InstallableReleases(FITS, are_fitted=True), project()
    lists = [installable.candidates(machine, found) for machine in MACHINES]

    assert lists[1] is lists[3]
    assert all(installable.candidates(machine, found) is known for machine, known in zip(MACHINES, lists, strict=True))


def test_what_is_learnt_about_releases_shows_at_once() -> None:
    """A release that pip passes over, one that cannot be read, and one that is selected change all lists."""
    installable, found = InstallableReleases(FITS, are_fitted=True), project()
    versions(installable, found)
    assert found.candidates is not None
    found.selected = frozenset(one for one in found.candidates.releases if one.version == Version("1.0"))
    assert versions(installable, found)[0] == ["1.0 kept"]
    found.unusable.add(Version("2.0"))
    assert versions(installable, found)[1] == ["1.0 kept"]
    found.unread[Version("3.0")] = "upstream did not answer"
    assert versions(installable, found)[2] == ["1.0 kept"]


def test_project_that_upstream_lacks_has_none() -> None:
    """Without a page there are no candidates."""
    assert versions(InstallableReleases(FITS, are_fitted=True), Project(FOO)) == [[], [], [], []]
