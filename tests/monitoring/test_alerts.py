"""Prometheus' configuration, rules and alerts: valid, tested and documented."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring import runbooks
from monitoring.promtool import PROMETHEUS, REPOSITORY, promtool

# The contract; people's routes and silences hang on these names.
ALERTS = {
    *("MirrorSyncStale", "MirrorSyncFailing", "MirrorProjectsFailing", "MirrorSerialLagging", "MirrorTargetDown"),
    *("MirrorVerificationFailures", "MirrorVolumeFillingUp", "MirrorMassDeletionBlocked", "MirrorServing5xx"),
    *("MirrorUpstreamWithoutNews", "MirrorPolicyInvalid"),
    *("MirrorMaturityLate", "MirrorPolicyInputsUnusable", "MirrorLineNotInstallable"),
    *("MirrorEdgeListStale", "MirrorCertificateEnds", "MirrorWebhooksFailing", "MirrorMissesGrowing"),
    "MirrorSchedulePaused",
}
# The mirror's own address, as control exports it; without it, that of the stack's default.
PAGE = (
    '{{ with query "last_over_time(pypi_mirror_page_info[1d])" }}{{ . | first | label "url" }} '
    "{{- else }}http://localhost:8080{{ end }}"
)
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
    """Prometheus accepts its configuration and rules."""
    status, said = promtool("check", "config", "prometheus.yml")
    assert status == 0, said


@pytest.mark.docker
@pytest.mark.parametrize("file", sorted(path.name for path in (PROMETHEUS / "tests").glob("*.yml")))
def test_alerts_fire_only_when_they_should(file: str) -> None:
    """Each alert fires when it should and only then, with the expected text."""
    status, said = promtool("test", "rules", f"tests/{file}")
    assert status == 0, said


def test_alert_names_do_not_change() -> None:
    """The alerts have their promised names."""
    assert {rule["alert"] for rule in ALERTING} == ALERTS


def test_each_alert_is_tested_firing_and_silent() -> None:
    """The tests of each alert expect it at one moment and not at another."""
    cases = [
        (case["alertname"], bool(case["exp_alerts"]))
        for file in (PROMETHEUS / "tests").glob("*.yml")
        for test in parsed(file)["tests"]
        for case in test["alert_rule_test"]
    ]
    assert set(cases) == {(alert, fires) for alert in ALERTS for fires in (True, False)}


@pytest.mark.parametrize("rule", ALERTING, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_alert_is_explained(rule: dict[str, Any]) -> None:
    """An alert has a severity, a constant summary, a description, and a complete runbook."""
    assert rule["labels"]["severity"] in ("critical", "warning")
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert "{{" not in annotations["summary"], "what is grouped by it must not differ"
    assert annotations["summary"].endswith(".")
    assert annotations["runbook_url"] == f"{PAGE}/ui/alerts#{rule['alert'].lower()}"
    section = re.search(rf"^### {rule['alert']}\n(.*?)(?=^##|\Z)", RUNBOOKS.read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"no section {rule['alert']}"
    assert re.findall(r"^\*\*(\w+)\.\*\*", section[1], re.MULTILINE) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]


@pytest.mark.parametrize("rule", ALERTING, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_description_names_a_first_step(rule: dict[str, Any]) -> None:
    """An alert's description says what still works, and which command to run or file to change."""
    description = rule["annotations"]["description"]
    assert re.search(
        r"can still be installed|other files can be installed|still serves?|stay published|not affected", description
    )
    commands = re.findall(r"`([^`]+)`", description)
    assert commands or "mirror.toml" in description
    assert all(command.startswith(("docker compose ", "mirrorctl verify")) for command in commands)


def test_runbooks_page_is_current() -> None:
    """The page /ui/alerts is docs/alerts.md, with a place for each alert; otherwise run scripts/generate."""
    page = runbooks.PAGE.read_text()
    assert page == runbooks.page()
    assert set(re.findall(r'<h2 id="(\w+)">', page)) == {name.lower() for name in ALERTS}
    assert not re.search(r'href="(?!#)', page)


def test_recording_rules_follow_the_naming_convention() -> None:
    """A recorded metric is named level:metric:operations."""
    for name in (rule["record"] for rule in rules() if "record" in rule):
        assert re.fullmatch(r"[a-z_]+:pypi_mirror_[a-z0-9_]+:[a-z0-9_]+", name), name
