"""Variables of Kubernetes and of other services pass; misspelt settings are reported."""

from collections.abc import Callable

import pytest

from mirror_syncer.config.environment import FOREIGN_VARIABLES, is_default
from mirror_syncer.config.settings import Settings
from mirror_syncer.errors import ConfigurationError


@pytest.mark.proves("reliability/host")
def test_kubernetes_variables_are_ignored(setting: Callable[..., Settings]) -> None:
    """The syncer ignores what Kubernetes sets for other services, but still reports a misspelt setting."""
    services = {
        "MIRROR_SERVICE_HOST": "10.0.0.1",
        "MIRROR_SERVICE_PORT": "8080",
        "MIRROR_SERVICE_PORT_HTTP": "8080",
        "MIRROR_PORT": "tcp://10.0.0.1:8080",
        "MIRROR_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "MIRROR_PORT_8080_TCP_PROTO": "tcp",
        "MIRROR_PORT_8080_TCP_PORT": "8080",
        "MIRROR_PORT_8080_TCP_ADDR": "10.0.0.1",
        "MIRROR_SYNCER_SERVICE_HOST": "fd00::1",
        "MIRROR_SYNCER_PORT": "tcp://[fd00::1]:8090",
        "CONTROL_PORT": "tcp://10.0.0.2:8081",
        "CONTROL_PORT_53_UDP": "udp://10.0.0.2:53",
        "GRAFANA_SERVICE_PORT_WEB_UI": "3000",
    }
    assert setting(**services) == Settings()
    assert is_default(services)
    misspelt = {"MIRROR_LISTEN_PORT": "8080", "MIRROR_SERVICE_HOSTS": "10.0.0.1"}
    with pytest.raises(ConfigurationError) as refusal:
        setting(**services, **misspelt)
    found = refusal.value.problems
    assert len(found) == 2
    assert found[0].startswith("MIRROR_LISTEN_PORT is not a setting")


def test_settings_of_other_services_are_known(setting: Callable[..., Settings]) -> None:
    """The syncer accepts settings of nginx and control, since it gets the whole .env."""
    assert setting(**dict.fromkeys(FOREIGN_VARIABLES, "1")) == Settings()


def test_default_environment_is_recognized() -> None:
    """Paths that compose.yaml sets and empty values are defaults; any other variable is the operator's choice."""
    assert is_default({"MIRROR_DATA": "/srv/mirror", "MIRROR_CONTACT": "", "PATH": "/bin"})
    assert not is_default({"MIRROR_CONTACT": "ops@example.org"})
