"""
.env.example, the settings classes, compose.yaml, mirror.example.toml and the documentation agree.

Each documented setting exists, works as described and reaches its service; each setting is documented.
"""

import re
import tomllib
from pathlib import Path

import pytest

from mirror_control.settings import Settings as ControlSettings
from mirror_syncer.config import Policy
from mirror_syncer.config.environment import FOREIGN_VARIABLES
from mirror_syncer.config.mirror_toml.file import read_policy
from mirror_syncer.config.policy.closure import Dependencies
from mirror_syncer.config.settings import Settings, read_settings

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = (REPOSITORY / ".env.example").read_text()
COMPOSE = (REPOSITORY / "compose.yaml").read_text()
COMPOSE_DATA = (REPOSITORY / "compose.data.yaml").read_text()
COMPOSE_BUCKET = (REPOSITORY / "compose.bucket.yaml").read_text()
COMPOSE_FILES = COMPOSE + COMPOSE_DATA + (REPOSITORY / "compose.edge.yaml").read_text() + COMPOSE_BUCKET
STARTER = REPOSITORY / "config/mirror.example.toml"

# A line "#KEY=value" is a setting with its default, any other comment is prose.
KNOBS = dict(re.findall(r"^#([A-Z0-9_]+)=(.*)$", EXAMPLE, re.MULTILINE))

# Operators cannot choose these in a container: the compose files set them.
FIXED = {
    *("MIRROR_DATA", "MIRROR_STATE", "MIRROR_POLICY", "MIRROR_LISTEN"),
    *("MIRROR_CONTROL_STATE", "MIRROR_CONTROL_LISTEN", "MIRROR_ACCESS_LOG", "MIRROR_SYNCER_URL"),
}

# The syncer's secrets; it sees their path inside the container.
SECRETS = {"MIRROR_CA_FILE", "MIRROR_UPSTREAM_NETRC", "MIRROR_WEBHOOK_SECRET_FILE", "MIRROR_CATALOG_PASSWORD_FILE"}
FILES = SECRETS | {"GRAFANA_PASSWORD_FILE", "MIRROR_S3_KEY_FILE"}


def fields(settings: type[Settings] | type[ControlSettings]) -> set[str]:
    """Return the variables that a settings class reads."""
    return {f"MIRROR_{name.upper()}" for name in settings.model_fields}


def environment(service: str) -> dict[str, str]:
    """Return a service's ``environment`` in a compose file; a value is empty where compose passes the variable on."""
    block = re.search(
        rf"^  {service}:.*\n(?:    .*\n)*?    environment:\n((?:      .*\n)+)", COMPOSE_FILES, re.MULTILINE
    )
    assert block
    return dict(re.findall(r"^      ([A-Z_]+):[ ]?(.*)$", block[1], re.MULTILINE))


def test_example_names_every_setting() -> None:
    """.env.example names the settings that compose.yaml interpolates and the settings classes read, and no others."""
    interpolated = set(re.findall(r"\$\{([A-Z0-9_]+)", COMPOSE_FILES))
    read = fields(Settings) | fields(ControlSettings)
    passed_on = {key for service in ("syncer", "control") for key, value in environment(service).items() if not value}
    assert set(KNOBS) == (interpolated | passed_on | read) - (FIXED - interpolated)


def test_example_explains_every_setting() -> None:
    """Each setting has its own prose above it, or shares it with the setting before; there are no other lines."""
    above = ""
    for line in EXAMPLE.splitlines():
        if re.match(r"#[A-Z0-9_]+=", line):
            assert re.match(r"# \S", above) or re.match(r"#[A-Z0-9_]+=", above), f"nothing explains {line}"
        else:
            assert re.fullmatch(r"(#( .*)?)?", line), f"neither a comment nor a knob: {line!r}"
        above = line


def test_example_shows_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uncommenting every line of .env.example changes nothing: the syncer accepts them all and keeps its defaults."""
    for key in fields(Settings):
        monkeypatch.delenv(key, raising=False)
    default = Settings()
    for key, value in KNOBS.items():
        monkeypatch.setenv(key, value)
    assert read_settings() == default


def test_example_shows_the_defaults_of_control() -> None:
    """.env.example shows control's own defaults."""
    shown = {key: KNOBS[key] for key in fields(ControlSettings) - FIXED}
    assert shown == {
        "MIRROR_CONTROL_TOKEN_FILE": "/dev/null",
        "MIRROR_HOSTS": "",
        "MIRROR_PAGE_URL": str(ControlSettings.model_fields["page_url"].default),
        "MIRROR_GRAFANA_URL": "",
        "MIRROR_LOG_LEVEL": str(ControlSettings.model_fields["log_level"].default),
        "MIRROR_LOG_FORMAT": str(ControlSettings.model_fields["log_format"].default),
        "MIRROR_DOWNLOADS_KEPT": f"{ControlSettings.model_fields['downloads_kept'].default.days}d",
    }


def test_compose_has_the_same_defaults() -> None:
    """Each default in compose.yaml equals the one in .env.example."""
    for key, default in re.findall(r"\$\{([A-Z0-9_]+):-([^}]*)\}", COMPOSE_FILES):
        # A compose secret is a file; without one it is /dev/null.
        assert default == (KNOBS[key] if key not in FILES else "/dev/null"), key


def test_syncer_receives_every_setting() -> None:
    """Each setting of the syncer reaches it: .env as a whole, and each key from a shell or --env-file too."""
    assert "env_file: [{ path: .env, required: false }]" in COMPOSE
    fixed = set(environment("writer"))
    assert fixed == fields(Settings) & FIXED
    of_bucket = set(re.findall(r"^      (MIRROR_S3_[A-Z_]+): ", COMPOSE_BUCKET, re.MULTILINE))
    assert fields(Settings) <= set(environment("syncer")) | fixed | of_bucket
    assert {key for key, value in environment("syncer").items() if value} == SECRETS


def test_environment_keeps_interpolated_names() -> None:
    """No service gives an interpolated variable another meaning, since podman-compose would interpolate that one."""
    for service in ("syncer", "control"):
        given = environment(service)
        interpolated = set(re.findall(r"\$\{([A-Z0-9_]+)", COMPOSE)) & set(given)
        assert all(given[key] == "" or given[key].startswith(f"${{{key}:+") for key in interpolated), service


def test_control_receives_every_setting() -> None:
    """Each setting of control reaches it."""
    assert fields(ControlSettings) == set(environment("control"))


def test_syncer_accepts_the_settings_of_others() -> None:
    """The syncer, which sees all of .env, accepts exactly the other services' settings."""
    others = {key for key in KNOBS if key.startswith(("MIRROR_", "CONTROL_", "PROMETHEUS_", "GRAFANA_"))}
    assert others - fields(Settings) == FOREIGN_VARIABLES


def test_documentation_names_real_settings() -> None:
    """Each MIRROR_, CONTROL_, PROMETHEUS_ or GRAFANA_ name in the documentation is a setting, except a quoted typo."""
    known = set(KNOBS) | FIXED | {"MIRROR_TOKEN"}  # the last is mirrorctl's, on an operator's own machine
    documents = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")]
    assert documents
    for path in documents:
        # docs/troubleshooting.md quotes a misspelt key as the syncer reports it: "… is not a setting".
        named = set(
            re.findall(r"\b(?:MIRROR|CONTROL|PROMETHEUS|GRAFANA)_[A-Z_]*[A-Z]\b(?! is not a setting)", path.read_text())
        )
        assert named <= known, path


def test_starter_policy() -> None:
    """The shipped example selects three projects, three releases each, and follows what they need."""
    policy = read_policy(STARTER)
    assert set(policy.projects) == {"requests", "pip", "setuptools"}
    assert (policy.latest, policy.dependencies) == (3, Dependencies(follow=True))


def test_starter_policy_shows_defaults(tmp_path: Path) -> None:
    """Uncommenting every key of the shipped example changes nothing."""
    shown = re.sub(r'^# ([a-z_]+ = (?:"[^"]*"|\d+|true|false))$', r"\1", STARTER.read_text(), flags=re.MULTILINE)
    assert set(tomllib.loads(shown)["removal"]) == {"grace", "guard", "superseded"}
    assert set(tomllib.loads(shown)["serve"]) == {"legacy_json", "osv"}
    (tmp_path / "mirror.toml").write_text(shown)
    read = read_policy(tmp_path / "mirror.toml")
    assert (read.removal, read.serve) == (Policy().removal, Policy().serve)
    assert read.dependencies == Dependencies(follow=True)
