"""Symlinks planted on the volume expose nothing that nginx can read."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from nginx.containers import HARDENED, LOGS, Container, connect, docker, mirror, run_to_end
from nginx.tree import Tree, plant

pytestmark = [pytest.mark.docker, pytest.mark.proves("security/containers")]

SECRET = b"what nginx alone may read\n"
NGINX, STRANGER = 10002, 4321

# From where a neighbour, or who got hold of the volume, may put a link, to where it leads, and how it is asked for.
IN_OTHER_TREES = (
    ("centos/file", "/secret/file", "/centos/file"),
    ("centos/log", "/logs/access.jsonl", "/centos/log"),
    ("centos/relative", "../../../secret/file", "/centos/relative"),
    ("centos/directory", "/secret", "/centos/directory/file"),
    ("centos/withdrawn", "../pypi/.withdrawn/evil.whl", "/centos/withdrawn"),
    ("centos/hidden", "../pypi/.withdrawn", "/centos/hidden/evil.whl"),
    ("centos/chain", "file", "/centos/chain"),
    ("centos/listed", "/secret", "/centos/listed/"),
    ("own/index.html", "/secret/file", "/own/"),
    ("index.html", "/secret/file", "/"),
    ("pypi/anything", "/secret/file", "/pypi/anything"),
)
IN_OUR_TREE = (
    ("pypi/web/packages/ab/linked-1.0.whl", "/secret/file", "/packages/ab/linked-1.0.whl"),
    ("pypi/web/packages/cd", "/secret", "/packages/cd/file"),
    ("pypi/web/packages/ab/cd", "/secret", f"/packages/ab/cd/{'0' * 60}/file"),
    ("pypi/web/simple/linked", "/secret", "/simple/linked/"),
    ("pypi/web/simple/page/index.html", "/secret/file", "/simple/page/"),
    ("pypi/web/simple/twin/index.html.gz", "/secret/file", "/simple/twin/"),
    ("pypi/web/pypi/linked/json", "/secret/file", "/pypi/linked/json"),
)


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory that nginx may read, outside its document root."""
    directory = tmp_path_factory.mktemp("secret")
    for name in ("file", "index.html", "index.v1_json"):
        (directory / name).write_bytes(SECRET)
        (directory / name).chmod(0o644)
    directory.chmod(0o755)
    return directory


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Return a document root with every one of these links."""
    tree = plant(tmp_path_factory.mktemp("linked"))
    tree.write("own/file", b"")
    tree.write("pypi/web/simple/page/index.v1_json", b"page\n")
    tree.write("pypi/web/simple/twin/index.html", b"twin\n")
    for place, target, _ in IN_OTHER_TREES + IN_OUR_TREE:
        (tree.root / place).parent.mkdir(parents=True, exist_ok=True)
        (tree.root / place).symlink_to(target)
    return tree


@pytest.fixture(scope="module", params=["", "listing", "symlinks,listing"])
def knobs(request: pytest.FixtureRequest) -> str:
    """Return the value of MIRROR_NGINX."""
    knobs: str = request.param
    return knobs


@pytest.fixture(scope="module")
def planted(image: str, linked: Tree, secret: Path, knobs: str) -> Iterator[httpx2.Client]:
    """Return a client of the mirror over that root."""
    options = (LOGS, f"--volume={secret}:/secret:ro", f"--env=MIRROR_NGINX={knobs}")
    with mirror(image, linked.root, *options) as container, connect(container) as client:
        assert container.run("cat", "/secret/file") == SECRET.decode().strip(), "nginx itself may"
        yield client


@pytest.mark.proves("security/neighbours")
@pytest.mark.parametrize(("place", "target", "path"), IN_OUR_TREE)
def test_symlink_in_own_tree_is_not_followed(planted: httpx2.Client, place: str, target: str, path: str) -> None:
    """In the mirror's own tree, no link of a page, its .gz file or a package is followed, with any setting."""
    for coding in ("gzip", "identity"):
        answer = planted.get(path, headers={"Accept-Encoding": coding, "Accept": "text/html"})
        assert SECRET not in answer.content
        assert answer.status_code in (403, 404) or answer.text == "twin\n", f"{place} -> {target}: {answer.text}"


@pytest.mark.proves("security/neighbours")
@pytest.mark.parametrize("knobs", ["", "listing"], indirect=True)
@pytest.mark.parametrize(("place", "target", "path"), IN_OTHER_TREES)
def test_symlink_in_other_tree_is_not_followed(planted: httpx2.Client, place: str, target: str, path: str) -> None:
    """In other mirrors' trees, no link is followed: to a key, a log, a withdrawn file, a directory or another link."""
    answer = planted.get(path)
    assert b"secret" not in answer.content
    assert SECRET not in answer.content
    assert answer.status_code in (403, 404) or path == "/", f"{place} -> {target}: {answer.text}"
    if answer.status_code == 403 and path != "/":
        assert "symlink" in answer.text


@pytest.fixture
def neighbour(tmp_path: Path) -> Tree:
    """Return a document root with a tree that everybody may write to."""
    tree = plant(tmp_path / "root")
    tree.write("debian/dists/trixie/Release", b"Suite: stable\n")
    (tree.root / "debian/dists").chmod(0o777)
    return tree


def link(image: str, directory: Path, *, owner: int, target: str, name: str) -> None:
    """Make a symlink as a user of that number."""
    options = (f"--user={owner}", "--entrypoint=ln", f"--volume={directory}:/there")
    docker("run", "--rm", *options, image, "-s", target, f"/there/{name}")


@pytest.mark.proves("security/neighbours")
def test_symlinks_setting_follows_links_of_one_owner(image: str, neighbour: Tree) -> None:
    """``MIRROR_NGINX=symlinks`` follows only links whose target has the same owner, such as Debian's ``stable``."""
    dists = neighbour.root / "debian/dists"
    link(image, dists, owner=dists.stat().st_uid, target="trixie", name="stable")
    link(image, dists, owner=STRANGER, target="trixie", name="foreign")
    # A directory that is a symlink is none to nginx, a file that is one is forbidden.
    for knobs, status in (("symlinks", 200), ("", 404)):
        with mirror(image, neighbour.root, f"--env=MIRROR_NGINX={knobs}") as container, connect(container) as client:
            assert client.get("/debian/dists/stable/Release").status_code == status, knobs
            assert client.get("/debian/dists/foreign/Release").status_code in (403, 404), knobs
            assert client.get("/debian/dists/trixie/Release").text == "Suite: stable\n"


@pytest.mark.proves("security/neighbours")
def test_symlinks_setting_requires_own_secrets(image: str, neighbour: Tree, tmp_path: Path) -> None:
    """With ``symlinks``, a password file of another user stops the start, because that user's links could expose it."""
    passwords = tmp_path / "htpasswd"
    passwords.write_text("ci:{SSHA}LhKrkM9Fy+zlstjdD7Kv2s6QvhBzYWx0\n")
    passwords.chmod(0o444)
    options = (*HARDENED, "--env=MIRROR_NGINX=symlinks,htpasswd", f"--volume={passwords}:/run/secrets/htpasswd")
    said = run_to_end(image, *options, status=2)
    assert f"/run/secrets/htpasswd belongs to user {passwords.stat().st_uid}" in said
    assert f"chown {NGINX}" in said
    docker("run", "--rm", "--user=0", "--entrypoint=chown", options[-1], image, str(NGINX), "/run/secrets/htpasswd")
    knobs = ("--env=MIRROR_NGINX=symlinks,htpasswd", options[-1])
    with mirror(image, neighbour.root, *knobs) as container, connect(container) as client:
        assert client.get("/simple/").status_code == 401
        link(image, neighbour.root / "debian/dists", owner=STRANGER, target="/run/secrets/htpasswd", name="passwords")
        answer = client.get("/debian/dists/passwords", auth=("ci", "correct horse"))
        assert (answer.status_code, b"SSHA" in answer.content) == (403, False)


def test_nginx_cannot_read_private_directories(nginx: Container) -> None:
    """nginx runs as another user than the syncer, so the kernel protects the syncer's private files."""
    assert nginx.run("id", "-u") == str(NGINX)
