"""The actions of the page: what each one does, in words, the right that it needs, and the call that it makes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from mirror_contract import ReleaseRequest, RunKind, RunRequest, parse_project_name
from mirror_control.access.rights import Right, required_right
from mirror_control.client.issue import MIRRORCTL

_RUN_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}", re.ASCII)
_NUMBER: Final = re.compile(r"[1-9]\d{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Question:
    """A field of an action's form that a person fills in."""

    name: str
    label: str
    help: str
    max_length: int
    answer: str = ""
    """What the field holds at first."""


@dataclass(frozen=True, slots=True)
class Action:
    """
    Something that a person may do from the page.

    Attributes:
        label: the text of its button.
        about: what tells it from others with the same label.
        effect: what it will do, a sentence or two.
        method, path: the call of the API.
        request: the run that the call asks for.
        fields: what its form sends.
        questions: what its form asks for.
        command: the same on the mirror's host.
    """

    label: str
    effect: str
    right: Right
    path: str
    command: str
    fields: Mapping[str, str] = field(default_factory=dict)
    about: str = ""
    request: RunRequest | None = None
    method: str = "POST"
    questions: tuple[Question, ...] = ()

    @property
    def name(self) -> str:
        """What a form calls it."""
        return self.fields["do"]

    @property
    def body(self) -> str | None:
        """The body of the call."""
        return None if self.request is None else self.request.model_dump_json(exclude_defaults=True)

    @property
    def needs_confirmation(self) -> bool:
        """Whether it may delete something or overrides the policy, so that a person reads first what it will do."""
        return self.right is Right.REMOVE


def make_action(fields: Mapping[str, str]) -> Action:
    """
    Return the action that a form asks for.

    Raises:
        ValueError: there is none, or a field is wrong.
    """
    name = fields.get("do", "")
    if (action := _WITHOUT_FIELDS.get(name)) is not None:
        return action
    if name not in _WITH_A_FIELD:
        raise ValueError(f"There is no action {name[:40]!r}.")
    make, field_name = _WITH_A_FIELD[name]
    return make(fields.get(field_name, ""))


def _run_action(
    name: str, request: RunRequest, *, label: str, effect: str, command: str, about: str = "", **fields: str
) -> Action:
    return Action(
        label,
        effect,
        required_right(request),
        "/runs",
        f"{MIRRORCTL} {command}",
        {"do": name, **fields},
        about,
        request,
    )


def _sync(project: str) -> Action:
    if not project:
        return _run_action(
            "sync",
            RunRequest(kind=RunKind.SYNC),
            label="Sync now",
            effect="It asks upstream for the changes of all projects and downloads them. The deletion guard holds.",
            command="sync --follow",
        )
    name = parse_project_name(project)
    return _run_action(
        "sync",
        RunRequest(kind=RunKind.SYNC, projects=(name,)),
        label="Sync now",
        effect=f"It asks upstream for {name} now and downloads what is missing. Other projects are not touched.",
        command=f"sync {name} --follow",
        about=name,
        project=name,
    )


def _allow_removals(text: str) -> Action:
    if not _NUMBER.fullmatch(text):
        raise ValueError("The number of removals must be a whole number from 1.")
    number = int(text)
    removals = f"{number:,} {'removal' if number == 1 else 'removals'}"
    return _run_action(
        "allow-removals",
        RunRequest(kind=RunKind.SYNC, allow_removals=number),
        label=f"Allow {removals}",
        effect=f"It syncs the whole mirror and lets up to {number:,} projects leave it or lose files. If more would, "
        "it removes none. Files stay on the disk until their grace period is over.",
        command=f"sync --allow-removals {number} --follow",
        number=text,
    )


def _cancel(run: str) -> Action:
    if not _RUN_ID.fullmatch(run):
        raise ValueError("This is no run's id.")
    return Action(
        "Cancel",
        f"It ends the run {run} within seconds. What the run has published stays; the next run does the rest.",
        Right.TRIGGER,
        f"/runs/{run}/cancel",
        f"{MIRRORCTL} cancel {run}",
        {"do": "cancel", "run": run},
        about=run,
    )


def _change_schedule(change: str) -> Action:
    resume = change == "resume"
    return Action(
        "Resume the schedule" if resume else "Pause the schedule",
        "Scheduled syncs start again, the next at its usual time."
        if resume
        else "No scheduled sync starts until somebody resumes the schedule. Runs that a person requests still start.",
        Right.TRIGGER,
        f"/schedule/{change}",
        f"{MIRRORCTL} {change}",
        {"do": change},
    )


def _remove_line(project: str) -> Action:
    name = parse_project_name(project)
    return Action(
        "Remove the line",
        f"The next sync removes {name} and what only it needs, unless something else requires them. The deletion guard "
        "holds, and files stay on the disk until their grace period is over. A line of mirror.toml is removed there.",
        Right.REMOVE,
        f"/projects/{name}",
        f"{MIRRORCTL} remove {name}",
        {"do": "remove-line", "project": name},
        name,
        method="DELETE",
    )


def _release(text: str) -> Action:
    requirement = _parse_requirement(text)
    return Action(
        "Release",
        f"It publishes {requirement} now, from upstream's last page, although the cooldown holds it. Blocks, "
        "advisories and upstream's quarantine still apply. When the release ends, a version that is still too young is "
        "held again.",
        Right.REMOVE,
        "/releases",
        f"{MIRRORCTL} release '{requirement}' --because 'REASON' --for {ReleaseRequest.DEFAULT_DURATION}",
        {"do": "release", "requirement": requirement},
        requirement,
        questions=(
            Question("because", "Why it cannot wait", "Everybody who reads the project's page sees it.", 300),
            Question(
                "for",
                "How long the release holds",
                "A number with h, d or w, from 1h to 90d.",
                5,
                ReleaseRequest.DEFAULT_DURATION,
            ),
        ),
    )


def _end_release(text: str) -> Action:
    requirement = _parse_requirement(text)
    return Action(
        "End the release",
        f"The cooldown applies to {requirement} again: a version that is still too young leaves its page and is held.",
        Right.REMOVE,
        "/releases",
        f"{MIRRORCTL} release --list",
        {"do": "end-release", "requirement": requirement},
        requirement,
        method="DELETE",
    )


def _parse_requirement(text: str) -> str:
    """Return one version of a project in its normal form."""
    try:
        return ReleaseRequest(requirement=text, because="any").requirement
    except ValidationError as error:
        raise ValueError(explain_invalid(error)) from None


def explain_invalid(error: ValidationError) -> str:
    """Return the first mistake of a form, with the name of its field."""
    first = error.errors()[0]
    return f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}"


_WITHOUT_FIELDS: Final = {
    "verify": _run_action(
        "verify",
        RunRequest(kind=RunKind.VERIFY),
        label="Verify",
        effect="It hashes every published file and page and reports what is damaged. It changes nothing, and reads the "
        "whole volume once.",
        command="verify --follow",
    ),
    "repair": _run_action(
        "repair",
        RunRequest(kind=RunKind.VERIFY, repair=True),
        label="Verify and repair",
        effect="It hashes every published file and page, downloads damaged and missing ones again, and deletes files "
        "that no page lists.",
        command="verify --repair --follow",
    ),
    "collect": _run_action(
        "collect",
        RunRequest(kind=RunKind.COLLECT, now=True),
        label="Free the space now",
        effect="It deletes the files that left their page now instead of after their grace period. A client that has "
        "read an older page can no longer download them.",
        command="collect --now --follow",
    ),
    "pause": _change_schedule("pause"),
    "resume": _change_schedule("resume"),
}
_WITH_A_FIELD: Final[Mapping[str, tuple[Callable[[str], Action], str]]] = {
    "sync": (_sync, "project"),
    "allow-removals": (_allow_removals, "number"),
    "cancel": (_cancel, "run"),
    "remove-line": (_remove_line, "project"),
    "release": (_release, "requirement"),
    "end-release": (_end_release, "requirement"),
}
