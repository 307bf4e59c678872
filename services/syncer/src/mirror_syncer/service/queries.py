"""What a request to the private API asks for: its body and its query, parsed."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import TypeVar

from aiohttp import web
from packaging.utils import NormalizedName, canonicalize_name
from pydantic import BaseModel, ValidationError

from mirror_contract import Trigger, parse_project_name
from mirror_contract.run import MAX_REPORTED_ERRORS
from mirror_syncer.service.problems import ProblemError, invalid_request

_MAX_PAGE_ITEMS = 200
_PART_OF_NAME = re.compile(r"[A-Za-z0-9._-]{1,214}")
E = TypeVar("E", bound=StrEnum)
M = TypeVar("M", bound=BaseModel)


def parse_body(shape: type[M], body: bytes) -> M:
    """Return the body as a model; the error of an invalid one lists its first faults."""
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        errors = [
            {"pointer": "/" + "/".join(map(str, item["loc"]))[:200], "detail": item["msg"]}
            for item in error.errors(include_input=False)[:MAX_REPORTED_ERRORS]
        ]
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"The body is no {shape.__name__}.", errors=errors
        ) from None


def parse_member(enumeration: type[E], value: str, name: str) -> E:
    """Return the member of an enumeration; ``name`` is the parameter that an error names."""
    try:
        return enumeration(value)
    except ValueError:
        known = ", ".join(enumeration)
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} {value!r} must be one of {known}.") from None


def parse_trigger(request: web.Request) -> Trigger:
    """Return who asked for a run."""
    return parse_member(Trigger, request.headers.get("X-Trigger", Trigger.API), "X-Trigger")


def parse_time(request: web.Request, name: str) -> datetime | None:
    """Return a time, such as 2026-11-22T16:12:33Z; without a zone it is UTC."""
    if (text := request.query.get(name)) is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid_request(f"query/{name}", f"{text[:80]!r} is not a time such as 2026-11-22T16:12:33Z") from None


def parse_name(text: str, pointer: str) -> NormalizedName:
    """Return a project's normalized name; ``pointer`` is the parameter that an error names."""
    try:
        return parse_project_name(text)
    except ValueError as error:
        raise invalid_request(pointer, str(error)) from None


def parse_part_of_name(request: web.Request) -> str:
    """Return the normalized text that the names to list must contain."""
    text = request.query.get("q", "")
    if text and not _PART_OF_NAME.fullmatch(text):
        raise invalid_request("query/q", f"{text[:80]!r} is no part of a project's name: a-z, 0-9, '.', '_' and '-'")
    return canonicalize_name(text)


def parse_after(request: web.Request, item: re.Pattern[str], noun: str) -> str | None:
    """Return the item that the requested part of a list comes after: what the part before gave as ``next``."""
    if (after := request.query.get("after")) is not None and not item.fullmatch(after):
        raise invalid_request(
            "query/after", f"{after[:80]!r} is not {noun}; pass on what 'next' said, or follow the Link header"
        )
    return after


def parse_limit(request: web.Request) -> int:
    """Return how many items a part of a list may have: 50 unless the request says otherwise."""
    text = request.query.get("limit", "50")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MAX_PAGE_ITEMS):
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"limit {text!r} must be a number from 1 to {_MAX_PAGE_ITEMS}."
        )
    return int(text)
