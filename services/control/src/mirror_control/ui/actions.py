"""The actions of the page: what each one does, in words, the right that it needs, and the call that it makes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mirror_contract import RunKind, RunRequest, parse_project_name
from mirror_control.access.rights import Right, required_right
from mirror_control.client.issue import MIRRORCTL

_RUN_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}", re.ASCII)
_NUMBER: Final = re.compile(r"[1-9]\d{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Action:
    """
    Something that a person may do from the page.

    Attributes:
        label: the text of its button.
        about: what tells it from others with the same label.
        effect: what it will do, a sentence or two.
        path: the call of the API, always a POST.
        request: the run that the call asks for.
        fields: what its form sends.
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

    @property
    def body(self) -> str | None:
        """The body of the call."""
        return None if self.request is None else self.request.model_dump_json(exclude_defaults=True)

    @property
    def needs_confirmation(self) -> bool:
        """Whether it may delete something, so that a person reads first what it will do."""
        return self.right is Right.REMOVE


def make_action(fields: Mapping[str, str]) -> Action:
    """
    Return the action that a form asks for.

    Raises:
        ValueError: there is none, or a field is wrong.
    """
    name = fields.get("do", "")
    if (whole := _WHOLE.get(name)) is not None:
        return whole
    match name:
        case "sync":
            return _sync(fields.get("project", ""))
        case "allow-removals":
            return _allow_removals(fields.get("number", ""))
        case "cancel":
            return _cancel(fields.get("run", ""))
        case "pause" | "resume":
            return _schedule(name)
        case _:
            raise ValueError(f"There is no action {name[:40]!r}.")


def _run(
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
        return _run(
            "sync",
            RunRequest(kind=RunKind.SYNC),
            label="Sync now",
            effect="It asks upstream for the changes of all projects and downloads them. The deletion guard holds.",
            command="sync --follow",
        )
    name = parse_project_name(project)
    return _run(
        "sync",
        RunRequest(kind=RunKind.SYNC, projects=(name,)),
        label="Retry",
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
    return _run(
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


def _schedule(change: str) -> Action:
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


_WHOLE: Final = {
    "verify": _run(
        "verify",
        RunRequest(kind=RunKind.VERIFY),
        label="Verify",
        effect="It hashes every published file and page and reports what is damaged. It changes nothing, and reads the "
        "whole volume once.",
        command="verify --follow",
    ),
    "repair": _run(
        "repair",
        RunRequest(kind=RunKind.VERIFY, repair=True),
        label="Verify and repair",
        effect="It hashes every published file and page, downloads damaged and missing ones again, and deletes files "
        "that no page lists.",
        command="verify --repair --follow",
    ),
    "collect": _run(
        "collect",
        RunRequest(kind=RunKind.COLLECT, now=True),
        label="Free the space now",
        effect="It deletes the files that left their page now instead of after their grace period. A client that has "
        "read an older page can no longer download them.",
        command="collect --now --follow",
    ),
}
