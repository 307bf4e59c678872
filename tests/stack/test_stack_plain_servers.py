"""The tree needs none of our services: anything that sends or mounts files can serve it."""

import pytest

from stack.compose import CLIENT_IMAGE, Stack, container, run, until
from stack.mirror import Mirror

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

INSTALL = ("pip", "install", "--target=/tmp/plain", "--no-cache-dir")


def test_plain_http_server_serves_pip(stack: Stack, mirror: Mirror) -> None:
    """A static file server with the volume as document root serves pip."""
    server = ("webfsd", "-F", "-p", "8000", "-r", "/mirror", "-f", "index.html")
    volume = f"--volume={stack.project}_mirror:/mirror:ro"
    # webfsd requires a user with a name.
    with container(volume, f"--network={stack.project}_front", "--user=www-data", CLIENT_IMAGE, *server) as started:
        address = run("docker", "inspect", "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", started)
        index = (f"--index-url=http://{address}:8000/pypi/web/simple", f"--trusted-host={address}")
        said = stack.execute("client", *INSTALL, "--retries=5", *index, "requests")
    stack.execute("client", "rm", "-rf", "/tmp/plain")
    assert "Successfully installed" in said
    assert "requests-2.32.3" in said


def test_read_only_mount_serves_pip(stack: Stack, mirror: Mirror) -> None:
    """A read-only mount of the tree, such as an NFS export, serves pip by file://, without a network."""
    mount = ("--network=none", f"--volume={stack.project}_mirror:/mnt/mirror:ro")
    index = "--index-url=file:///mnt/mirror/pypi/web/simple"
    said = run("docker", "run", "--rm", *mount, CLIENT_IMAGE, *INSTALL, index, "requests")
    assert "requests-2.32.3" in said


def test_other_mirrors_are_served_beside_pypi(stack: Stack, mirror: Mirror) -> None:
    """nginx serves files beside pypi/ on the volume, such as another mirror's, under their own path."""
    write = "mkdir -p /srv/mirror/ubuntu/dists && echo 'Codename: noble' > /srv/mirror/ubuntu/dists/Release"
    stack.execute("syncer", "sh", "-c", write)
    until(lambda: mirror.client.get("/ubuntu/dists/Release").status_code == 200, seconds=5)
    assert mirror.client.get("/ubuntu/dists/Release").text == "Codename: noble\n"
    assert mirror.sync()["state"] == "succeeded"
    assert mirror.client.get("/ubuntu/dists/Release").text == "Codename: noble\n"
