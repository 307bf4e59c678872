"""How little the containers may do, as the engine itself tells it."""

import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from stack.compose import REPOSITORY, SERVICES, Stack, run, shipped, until
from stack.mirror import Mirror

SOCKETS = "/run/pypi-mirror"
WRITABLE = {
    "syncer": {"/srv/mirror", "/var/lib/pypi-mirror", SOCKETS},
    "nginx": {"/logs"},
    "control": {"/var/lib/pypi-mirror-control", "/logs"},
}
# SELinux': two categories, which a container of Docker's own choosing has by a chance of one in 500,000.
LEVEL = "label=level:s0:c90,c91"
# nginx is another user than the syncer, in its group.
USERS = {"syncer": "10001", "nginx": "10002", "control": "10001"}
GROUP = "10001"
# What root alone may do, or whoever has its capabilities.
ROOTS = (
    "chown 0 /tmp",
    "chroot / true",
    "mknod /tmp/null c 1 3",
    "mount -t tmpfs none /tmp",
    "mount -o remount,rw /",
    "unshare --map-root-user true",
    "echo 1 > /proc/sys/kernel/sysrq",
)
pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    """Return a service's name."""
    name: str = request.param
    return name


def inspected(stack: Stack, service: str) -> dict[str, Any]:
    """Return all that the engine knows of a service's container."""
    found: dict[str, Any] = json.loads(stack.inspect(service, "{{json .}}"))
    return found


def test_privileges(stack: Stack, service: str) -> None:
    """Each service is nobody's root, on a read-only root, without capabilities and with a bound on processes."""
    found = inspected(stack, service)
    host = found["HostConfig"]
    assert found["Config"]["User"] == f"{USERS[service]}:{GROUP}"
    assert stack.execute(service, "id", "-u") == USERS[service]
    assert (host["ReadonlyRootfs"], host["Privileged"], host["Init"]) == (True, False, True)
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], None)
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["PidsLimit"] > 0
    stack.execute(service, "sh", "-c", "touch /etc/x /usr/x", status=1)


@pytest.mark.proves("security/containers")
def test_every_service_is_hardened() -> None:
    """Whatever compose.yaml starts, under any profile, is nobody's root, on a read-only root, and can gain nothing."""
    services = json.loads(shipped("--env-file=/dev/null", "--profile=*", "config", "--format=json"))["services"]
    assert set(SERVICES) <= set(services)
    for name, service in services.items():
        assert service.get("user", "").split(":")[0] not in ("", "0", "root"), name
        assert service.get("read_only"), name
        assert service.get("cap_drop") == ["ALL"], name
        assert set(service.get("security_opt", [])) - {LEVEL} == {"no-new-privileges:true"}, name
        assert service.get("pids_limit", 0) > 0, name
        opened = {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc", "userns_mode"} & set(service)
        assert not {key for key in opened if service[key]}, name
        assert not [volume for volume in service.get("volumes", []) if "docker.sock" in str(volume)], name


def test_socket_can_be_reached_under_selinux() -> None:
    """Syncer and control, and no others, share a level: SELinux else keeps one from the other's socket."""
    services = json.loads(shipped("--env-file=/dev/null", "--profile=*", "config", "--format=json"))["services"]
    assert {name for name, service in services.items() if LEVEL in service["security_opt"]} == {"syncer", "control"}


@pytest.mark.proves("security/containers")
def test_powerless_inside(stack: Stack, service: str) -> None:
    """The kernel says of each process: not root, no capability in any set, none to gain, system calls filtered."""
    told = stack.execute(service, "sh", "-c", "cat /proc/[0-9]*/status")
    lines = dict.fromkeys(
        line for line in told.splitlines() if line.startswith(("Uid", "Gid", "Cap", "NoNew", "Seccomp:"))
    )
    said: dict[str, set[str]] = {}
    for key, _, value in (line.partition(":") for line in lines):
        said.setdefault(key, set()).update(value.split())
    assert said == {
        "Uid": {USERS[service]},
        "Gid": {GROUP},
        **{f"Cap{which}": {"0000000000000000"} for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")},
        "NoNewPrivs": {"1"},
        "Seccomp": {"2"},
    }


@pytest.mark.proves("security/containers")
def test_nothing_to_gain(stack: Stack, service: str) -> None:
    """What a process needs root for is refused it, by whatever means it tries."""
    tools = "command -v chown chroot mknod mount unshare >/dev/null || echo 'a tool is missing'"
    script = "; ".join((tools, *(f"({attempt}) >/dev/null 2>&1 && echo '{attempt}'" for attempt in ROOTS)))
    assert stack.execute(service, "sh", "-c", f"{script}; true") == ""


@pytest.mark.proves("security/containers")
def test_writable_places(stack: Stack, service: str) -> None:
    """All that a service can write is /tmp and its own volumes: the rest, secrets included, is fixed."""
    aside = "\\( -path /proc -o -path /sys -o -path /dev \\) -prune"
    # Where there is no secret, compose mounts /dev/null, which is nobody's to change; find looks beneath the mount.
    kept = 'while read -r path; do [ -c "$path" ] || echo "$path"; done'
    search = f"find / {aside} -o -writable ! -type l -print -prune 2>/dev/null | {kept}"
    found = stack.execute(service, "sh", "-c", search)
    # To connect to a socket is to write to it, also where its directory is mounted read-only.
    connected = {f"{SOCKETS}/syncer.sock"} if service == "control" else set()
    assert set(found.split()) == WRITABLE[service] | connected | {"/tmp"}


def test_lifecycle(stack: Stack, service: str) -> None:
    """Each service comes back by itself, says whether it is well, has time to stop, and bounds its logs."""
    found = inspected(stack, service)
    host, healthcheck = found["HostConfig"], found["Config"]["Healthcheck"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert found["State"]["Health"]["Status"] == "healthy"
    assert healthcheck["Interval"] >= 15e9
    assert found["Config"]["StopTimeout"] == (120 if service == "syncer" else 10)
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}


def test_memory(stack: Stack) -> None:
    """Only control's memory is bounded: against the others the page cache of the files they handle would count."""
    bounded = {name for name in SERVICES if inspected(stack, name)["HostConfig"]["Memory"]}
    assert bounded == {"control"}


@pytest.mark.proves("security/containers")
def test_mounts(stack: Stack) -> None:
    """The syncer alone can write to the tree; nginx and control share the access log's, and control has its own."""
    writable = {
        name: {mount["Destination"] for mount in inspected(stack, name)["Mounts"] if mount["RW"]} for name in SERVICES
    }
    assert writable == WRITABLE
    stack.execute("nginx", "touch", "/srv/mirror/x", status=1)


@pytest.mark.proves("security/neighbours")
def test_hidden_files_are_the_syncer_s_alone(stack: Stack) -> None:
    """What was withdrawn and what is half-downloaded nginx's own user cannot read, whatever its configuration says."""
    for hidden in ("/srv/mirror/pypi/.withdrawn", "/srv/mirror/pypi/.staging"):
        stack.execute("syncer", "ls", hidden)
        assert "Permission denied" in stack.execute("nginx", "ls", hidden, status=2)
    stack.execute("nginx", "ls", "/srv/mirror/pypi/web/simple")


@pytest.mark.proves("security/clients")
@pytest.mark.parametrize(
    ("bind", "addresses"), [("", {"0.0.0.0", "::"}), ("127.0.0.1", {"127.0.0.1"}), ("[::1]", {"::1"})]
)
def test_ipv4_and_ipv6(images: None, bind: str, addresses: set[str]) -> None:
    """Without MIRROR_BIND the mirror is reached by IPv4 and by IPv6; an address of either family is that one alone."""
    alone = Stack(settings={"MIRROR_BIND": bind})
    try:
        alone.up("nginx")
        published = json.loads(alone.inspect("nginx", "{{json .NetworkSettings.Ports}}"))["8080/tcp"]
        assert {one["HostIp"] for one in published} == addresses
        for one in published:
            host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(one["HostIp"], one["HostIp"])
            assert httpx2.get(f"http://{host}:{one['HostPort']}/healthz", trust_env=False).text == "ok\n"
    finally:
        alone.down()


@pytest.mark.proves("security/containers")
def test_networks(stack: Stack) -> None:
    """Clients meet nginx and control; the syncer shares a network with nobody, and alone has a way out."""
    attached = {name: set(inspected(stack, name)["NetworkSettings"]["Networks"]) for name in SERVICES}
    own = {name: f"{stack.project}_{name}" for name in ("front", "out")}
    assert attached == {"syncer": {own["out"]}, "nginx": {own["front"]}, "control": {own["front"]}}
    front, out = (json.loads(run("docker", "network", "inspect", network))[0] for network in own.values())
    # An internal network cannot publish ports; without masquerading no answer finds its way back to a container.
    assert front["Options"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert (front["Internal"], front["EnableIPv6"]) == (False, False)
    assert out["Internal"] is False


@pytest.mark.proves("security/containers", "security/clients")
def test_syncer_listens_on_no_network(stack: Stack) -> None:
    """The syncer has no TCP or UDP socket that listens, so neither its network nor the host's users reach its API."""
    listening = "cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 2>/dev/null || true"
    rows = [line.split() for line in stack.execute("syncer", "sh", "-c", listening).splitlines()]
    # 0A is LISTEN; 127.0.0.11 (0B00007F) is Docker's own resolver, which the engine puts into each container.
    opened = [row[1] for row in rows if row[0] != "sl" and row[3] in ("0A", "07")]
    assert [place for place in opened if not place.startswith("0B00007F:")] == []
    networks = inspected(stack, "syncer")["NetworkSettings"]["Networks"].values()
    knocks = (
        f"(timeout 2 bash -c 'exec 3<>/dev/tcp/{network['IPAddress']}/8090' 2>/dev/null && echo answers)"
        for network in networks
    )
    script = " & ".join((*knocks, "wait"))
    assert [stack.execute(service, "sh", "-c", script) for service in ("client", "nginx", "control")] == ["", "", ""]
    assert stack.execute("client", "bash", "-c", "exec 3<>/dev/tcp/nginx/8080 && echo open") == "open"


@pytest.mark.proves("security/clients")
def test_socket_is_for_control_alone(stack: Stack) -> None:
    """The private API's socket is its owner's alone; control may use it and not replace it; nginx has none."""
    assert stack.execute("syncer", "stat", "-c", "%a %u %F", f"{SOCKETS}/syncer.sock") == "600 10001 socket"
    assert stack.execute("syncer", "stat", "-c", "%a %u", SOCKETS) == "700 10001"
    ask = f"import socket as s; c = s.socket(s.AF_UNIX); c.connect('{SOCKETS}/syncer.sock'); print('open')"
    assert stack.execute("control", "python3", "-c", ask) == "open"
    stack.execute("control", "rm", f"{SOCKETS}/syncer.sock", status=1)
    stack.execute("nginx", "test", "-e", SOCKETS, status=1)


@pytest.mark.proves("reliability/crash")
def test_socket_outlives_a_kill(stack: Stack, synced: Mirror) -> None:
    """A syncer that was killed leaves its socket; the next one replaces it, and control finds it without a restart."""
    before = stack.execute("syncer", "stat", "-c", "%z", f"{SOCKETS}/syncer.sock")
    stack.compose("kill", "--signal=KILL", "syncer")
    assert stack.execute("control", "ls", SOCKETS) == "syncer.sock"
    stack.up()
    assert stack.execute("syncer", "stat", "-c", "%z", f"{SOCKETS}/syncer.sock") != before
    until(lambda: synced.client.get("/api/v1/status").json()["syncer_up"], seconds=10)
    stack.execute("syncer", "mirror-syncer", "sync", "six")
    said = stack.compose("run", "--rm", "--no-deps", "--no-TTY", "syncer", "sync", "six")
    assert json.loads(said.splitlines()[-1])["trigger"] == "cli"


@pytest.mark.proves("security/containers", "security/clients")
def test_published_ports(stack: Stack) -> None:
    """nginx's port is published, control's on the loopback, and the syncer's not at all."""
    published = {name: set(inspected(stack, name)["HostConfig"]["PortBindings"] or {}) for name in SERVICES}
    assert published == {"syncer": set(), "nginx": {"8080/tcp"}, "control": {"8081/tcp"}}
    services = json.loads(shipped("--env-file=/dev/null", "--profile=*", "config", "--format=json"))["services"]
    ports = {name: service.get("ports", []) for name, service in services.items()}
    # Without an address the engine publishes on all, of IPv4 and of IPv6.
    assert [(port.get("host_ip"), port["published"]) for port in ports["nginx"]] == [(None, "8080")]
    assert [(port["host_ip"], port["published"]) for port in ports["control"]] == [("127.0.0.1", "8081")]
    assert ports["syncer"] == []
    # Of any other service, such as a profile's, the documentation knows the port.
    documented = (REPOSITORY / "README.md").read_text() + (REPOSITORY / ".env.example").read_text()
    assert all(f"{port['published']}" in documented for several in ports.values() for port in several)


def test_secrets_stay_outside(stack: Stack, service: str) -> None:
    """No image carries a word of what an operator set, and no environment carries the token."""
    token = stack.execute("control", "mirrorctl", "token")
    assert token not in json.dumps(inspected(stack, service)["Config"])
    history = run("docker", "history", "--no-trunc", f"pypi-mirror-test-{service}")
    assert "BEGIN CERTIFICATE" not in history
    assert token not in history


MONITORING = ("prometheus", "grafana")


def test_monitoring_is_asked_for() -> None:
    """Without the profile "monitoring" neither of its services is there."""
    assert set(shipped("--env-file=/dev/null", "config", "--services").split()) == set(SERVICES)
    with_it = shipped("--env-file=/dev/null", "--profile=monitoring", "config", "--services").split()
    assert set(with_it) == {*SERVICES, *MONITORING}


@pytest.mark.parametrize("name", MONITORING)
def test_monitoring_may_do_as_little(name: str) -> None:
    """Prometheus and Grafana are as bound as the others, listen on the loopback, and write to one volume each."""
    configured = shipped("--env-file=/dev/null", "--profile=monitoring", "config", "--format=json")
    service = json.loads(configured)["services"][name]
    user, group = service["user"].split(":")
    assert (int(user) > 0, int(group) >= 0) == (True, True)
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0
    assert service["healthcheck"]["test"]
    assert service["logging"]["options"]["max-size"]
    assert [port["host_ip"] for port in service["ports"]] == ["127.0.0.1"]
    assert [volume["source"] for volume in service["volumes"] if not volume.get("read_only")] == [name]
    # Grafana meets Prometheus alone; Prometheus, control.
    assert set(service["networks"]) == {"prometheus": {"front", "monitor"}, "grafana": {"monitor"}}[name]
    (base,) = re.findall(r"^FROM (.+)", (REPOSITORY / "monitoring" / name / "Dockerfile").read_text(), re.MULTILINE)
    assert base[-1].isdigit(), "a version, so that a pull brings no surprise"


@pytest.mark.proves("reliability/host")
def test_only_the_policy_is_mounted_from_the_clone() -> None:
    """No container mounts more of the clone than config/, since its mode depends on the clone's umask."""
    configured = shipped("--env-file=/dev/null", "--profile=monitoring", "config", "--format=json")
    services = json.loads(configured)["services"].values()
    mounted = {volume["source"] for service in services for volume in service["volumes"] if volume["type"] == "bind"}
    assert mounted == {str(REPOSITORY / "config")}


def test_monitoring_has_no_way_out() -> None:
    """The network of Prometheus and Grafana rewrites no address, so that no connection leaves the host from it."""
    configured = shipped("--env-file=/dev/null", "--profile=monitoring", "config", "--format=json")
    network = json.loads(configured)["networks"]["monitor"]
    assert network["driver_opts"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert network["enable_ipv6"] is False


def test_administrator_only_with_a_password(tmp_path: Path) -> None:
    """Grafana has an administrator where a file has the password; otherwise grafana.ini's "no" stands."""

    def environment(env: Path) -> dict[str, str]:
        found = json.loads(shipped(f"--env-file={env}", "--profile=monitoring", "config", "--format=json"))
        given = found["services"]["grafana"]["environment"].items()
        return {key: value for key, value in given if key.startswith("GF_")}

    (tmp_path / "password").write_text("geheim\n")
    (tmp_path / "env").write_text(f"GRAFANA_PASSWORD_FILE={tmp_path / 'password'}\n")
    (tmp_path / "none").write_text("")
    without, given = environment(tmp_path / "none"), environment(tmp_path / "env")
    assert set(without.values()) == {""}
    assert given == {
        "GF_SECURITY_ADMIN_PASSWORD__FILE": "/run/secrets/grafana_password",
        "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "false",
    }
