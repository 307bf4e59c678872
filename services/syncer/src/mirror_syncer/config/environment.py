"""The environment's variables: which of them are settings, whose they are, and which are misspelt."""

import difflib
import re
from collections.abc import Iterable, Mapping

PREFIX = "MIRROR_"
_PREFIXES = (PREFIX, "CONTROL_", "PROMETHEUS_", "GRAFANA_")
# Settings of the other services: the syncer gets the whole .env, and it alone reports unknown variables.
FOREIGN_VARIABLES = frozenset(
    {
        "MIRROR_PORT",
        "MIRROR_BIND",
        "MIRROR_UID",
        "MIRROR_GID",
        "MIRROR_BASE_IMAGE",
        "MIRROR_CONFIG",
        "MIRROR_CONTROL_TOKEN_FILE",
        "MIRROR_DOWNLOADS_KEPT",
        "MIRROR_GRAFANA_URL",
        "MIRROR_HOSTS",
        "MIRROR_NGINX",
        "MIRROR_NGINX_UID",
        "MIRROR_TLS_DIR",
        "MIRROR_TLS_PORT",
        "MIRROR_HTPASSWD_FILE",
        "MIRROR_ORIGINS",
        "MIRROR_PAGE_URL",
        "MIRROR_ORIGIN_PASSWORD_FILE",
        "MIRROR_EDGE_CACHE",
        "MIRROR_EDGE_SIZE",
        "MIRROR_EDGE_FILES",
        "CONTROL_PORT",
        "CONTROL_BIND",
        "PROMETHEUS_BIND",
        "PROMETHEUS_PORT",
        "PROMETHEUS_RETENTION",
        "PROMETHEUS_RETENTION_SIZE",
        "GRAFANA_BIND",
        "GRAFANA_PORT",
        "GRAFANA_PASSWORD_FILE",
    }
)
# Kubernetes, like Docker's links before it, sets these in each container for every service of the namespace. A service
# named "mirror" brings MIRROR_SERVICE_HOST=10.0.0.1 and MIRROR_PORT_8080_TCP=tcp://10.0.0.1:8080. Name and value must
# both match, so that a misspelt setting is still reported.
_SERVICE_VARIABLES = (
    (re.compile(r"\w+_SERVICE_HOST|\w+_PORT_\d+_(TCP|UDP|SCTP)_ADDR"), re.compile(r"[0-9A-Fa-f.:]+")),
    (re.compile(r"\w+_SERVICE_PORT(_\w+)?|\w+_PORT_\d+_(TCP|UDP|SCTP)_PORT"), re.compile(r"\d{1,5}")),
    (re.compile(r"\w+_PORT_\d+_(TCP|UDP|SCTP)_PROTO"), re.compile(r"tcp|udp|sctp")),
    (re.compile(r"\w+_PORT(_\d+_(TCP|UDP|SCTP))?"), re.compile(r"(tcp|udp|sctp)://[^/]+:\d{1,5}")),
)
# compose.yaml itself sets these, also without a .env.
_SET_BY_COMPOSE = frozenset({"MIRROR_DATA", "MIRROR_STATE", "MIRROR_POLICY", "MIRROR_LISTEN"})


def is_default(environment: Mapping[str, str]) -> bool:
    """Return whether the operator has set no variable, as at a first start without ``.env``."""
    ours = {key for key, value in environment.items() if value and _may_be_setting(key, value)}
    return not ours - _SET_BY_COMPOSE


def list_unknown_variables(environment: Mapping[str, str], *, settings: Iterable[str]) -> list[str]:
    """
    Return a sentence about each variable that looks like a setting and is none.

    Args:
        settings: names of the syncer's settings, without the prefix.
    """
    known = {f"{PREFIX}{name.upper()}" for name in settings} | FOREIGN_VARIABLES
    problems = []
    for key in sorted(environment):
        if key not in known and _may_be_setting(key, environment[key]):
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]}?" if close else "see .env.example"
            problems.append(f"{key} is not a setting; {hint}")
    return problems


def _may_be_setting(key: str, value: str) -> bool:
    return key.startswith(_PREFIXES) and not _is_service_variable(key, value)


def _is_service_variable(key: str, value: str) -> bool:
    return any(name.fullmatch(key) and form.fullmatch(value) for name, form in _SERVICE_VARIABLES)
