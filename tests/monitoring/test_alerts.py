"""Prometheus' configuration, its rules, and the alerts: proved to fire and not to, and documented."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.promtool import PROMETHEUS, REPOSITORY, promtool

# The contract; people's routes and silences hang on these names.
ALERTS = {
    *("MirrorSyncStale", "MirrorSyncFailing", "MirrorProjectsFailing", "MirrorSerialLagging", "MirrorTargetDown"),
    *("MirrorVerificationFailures", "MirrorVolumeFillingUp", "MirrorMassDeletionBlocked", "MirrorServing5xx"),
    *("MirrorUpstreamWithoutNews", "MirrorPolicyInvalid"),
}
RUNBOOKS = REPOSITORY / "docs" / "alerts.md"


def parsed(path: Path) -> Any:
    """Return a YAML file's content."""
    return yaml.safe_load(path.read_text())


def rules() -> list[dict[str, Any]]:
    """Return all rules."""
    files = sorted((PROMETHEUS / "rules").glob("*.yml"))
    return [rule for file in files for group in parsed(file)["groups"] for rule in group["rules"]]


ALERTING = [rule for rule in rules() if "alert" in rule]


@pytest.mark.docker
def test_configuration_is_valid() -> None:
    """Prometheus takes its configuration, and with it the rules."""
    status, said = promtool("check", "config", "prometheus.yml")
    assert status == 0, said


@pytest.mark.docker
@pytest.mark.parametrize("file", sorted(path.name for path in (PROMETHEUS / "tests").glob("*.yml")))
def test_alerts_fire_when_they_should(file: str) -> None:
    """Each alert fires when it should and only then, with the words that a person is meant to read."""
    status, said = promtool("test", "rules", f"tests/{file}")
    assert status == 0, said


def test_names_are_the_contract() -> None:
    """The alerts are those that were promised."""
    assert {rule["alert"] for rule in ALERTING} == ALERTS


def test_each_alert_is_proved_both_ways() -> None:
    """For each alert there is a moment at which it is expected, and one at which it is not."""
    cases = [
        (case["alertname"], bool(case["exp_alerts"]))
        for file in (PROMETHEUS / "tests").glob("*.yml")
        for test in parsed(file)["tests"]
        for case in test["alert_rule_test"]
    ]
    assert set(cases) == {(alert, fires) for alert in ALERTS for fires in (True, False)}


@pytest.mark.parametrize("rule", ALERTING, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_alert_is_explained(rule: dict[str, Any]) -> None:
    """An alert has a severity, a summary that never changes, a description, and a runbook with all that one holds."""
    assert rule["labels"]["severity"] in ("critical", "warning")
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert "{{" not in annotations["summary"], "what is grouped by it must not differ"
    assert annotations["summary"].endswith(".")
    assert annotations["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"
    section = re.search(rf"^### {rule['alert']}\n(.*?)(?=^##|\Z)", RUNBOOKS.read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"no section {rule['alert']}"
    assert re.findall(r"^\*\*(\w+)\.\*\*", section[1], re.MULTILINE) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]


@pytest.mark.parametrize("rule", ALERTING, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_description_is_enough_to_begin_with(rule: dict[str, Any]) -> None:
    """Who has an alert's description alone learns what still works, and what to type, on the host, or to change."""
    description = rule["annotations"]["description"]
    assert re.search(
        r"still install|Installs go on|others install|is served|stay published|others are not|all works", description
    )
    commands = re.findall(r"`([^`]+)`", description)
    assert commands or "mirror.toml" in description
    assert all(command.startswith(("docker compose ", "mirrorctl verify")) for command in commands)


def test_recorded_names_tell_what_they_hold() -> None:
    """A recorded metric is level:metric:operations."""
    for name in (rule["record"] for rule in rules() if "record" in rule):
        assert re.fullmatch(r"[a-z_]+:pypi_mirror_[a-z0-9_]+:[a-z0-9_]+", name), name
