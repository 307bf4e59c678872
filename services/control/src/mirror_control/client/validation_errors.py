"""Validation errors of a request, phrased for its sender instead of for a Python programmer."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from mirror_contract.run import MAX_REPORTED_ERRORS
from mirror_control.client.schemas import FieldError

# An unknown key may be as long as a whole body.
_MAX_STEP_LENGTH: Final = 100
_SEND_JSON: Final = 'send a JSON object with \'Content-Type: application/json\', such as {"kind": "sync"}'


def explain_errors(errors: Iterable[Mapping[str, Any]]) -> Iterator[FieldError]:
    """
    Yield the first errors with their locations, from pydantic's or FastAPI's ``errors()``.

    FastAPI's locations begin with ``body`` or ``query``. The input is not repeated: it may be long, or a secret in the
    wrong place.
    """
    found = list(islice(errors, MAX_REPORTED_ERRORS))
    for error in found:
        match error:
            case {"type": "json_invalid", "loc": (place, int(at)), "ctx": {"error": why}}:
                yield FieldError(pointer=_pointer(place), detail=f"is not JSON: {why}, at character {at}")
            case {"type": "missing" | "model_attributes_type" | "model_type", "loc": ("body",)}:
                yield FieldError(pointer=_pointer("body"), detail=_SEND_JSON)
            case {"type": "too_short", "loc": loc} if any(_within(other["loc"], loc) for other in found):
                pass  # a consequence: too few items are valid, and the invalid ones are listed
            case {"type": "tuple_type" | "too_short" | "too_long", "loc": loc, "msg": message}:
                # JSON has lists; tuples are an implementation detail.
                yield FieldError(
                    pointer=_pointer(*loc), detail=message.replace("tuple", "list").replace("Tuple", "List")
                )
            case {"loc": loc, "msg": message}:
                yield FieldError(pointer=_pointer(*loc), detail=message.removeprefix("Value error, "))


def _within(place: tuple[str | int, ...], other: tuple[str | int, ...]) -> bool:
    return place[: len(other)] == other and len(place) > len(other)


def _pointer(place: str = "", *path: str | int) -> str:
    if place != "body":
        return "/".join([place, *(str(step)[:_MAX_STEP_LENGTH] for step in path)])
    # RFC 6901, 3 and 6: ~ and / are escaped, and a fragment is percent-encoded.
    steps = (str(step)[:_MAX_STEP_LENGTH].replace("~", "~0").replace("/", "~1") for step in path)
    return "#" + "".join(f"/{quote(step, safe='~')}" for step in steps)
