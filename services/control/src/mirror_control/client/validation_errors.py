"""What pydantic finds wrong with a request, in the words of whoever sent it."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from mirror_contract.run import MAX_FAULTS
from mirror_control.client.shapes import Invalid

# A key that is none of ours may be as long as a body.
_LONGEST_STEP: Final = 100
_AS_JSON: Final = 'send a JSON object with \'Content-Type: application/json\', such as {"kind": "sync"}'


def faults(errors: Iterable[Mapping[str, Any]]) -> Iterator[Invalid]:
    """
    Yield the first faults with their places: of ``errors()``, FastAPI's of which begin with body or query.

    What was sent is not repeated: it may be long, and it may be a secret in the wrong place.
    """
    found = list(islice(errors, MAX_FAULTS))
    for one in found:
        match one:
            case {"type": "json_invalid", "loc": (place, int(at)), "ctx": {"error": why}}:
                yield Invalid(pointer=_pointer(place), detail=f"is no JSON: {why}, at character {at}")
            case {"type": "missing" | "model_attributes_type" | "model_type", "loc": ("body",)}:
                yield Invalid(pointer=_pointer("body"), detail=_AS_JSON)
            case {"type": "too_short", "loc": loc} if any(_within(other["loc"], loc) for other in found):
                pass  # too few are right; that others are wrong is told
            case {"type": "tuple_type" | "too_short" | "too_long", "loc": loc, "msg": told}:
                # JSON has lists; that ours can't change is Python's business.
                yield Invalid(pointer=_pointer(*loc), detail=told.replace("tuple", "list").replace("Tuple", "List"))
            case {"loc": loc, "msg": told}:
                yield Invalid(pointer=_pointer(*loc), detail=told.removeprefix("Value error, "))


def _within(place: tuple[str | int, ...], other: tuple[str | int, ...]) -> bool:
    return place[: len(other)] == other and len(place) > len(other)


def _pointer(place: str = "", *path: str | int) -> str:
    if place != "body":
        return "/".join([place, *(str(step)[:_LONGEST_STEP] for step in path)])
    # RFC 6901, 3 and 6: ~ and / are escaped, and a fragment is percent-encoded.
    steps = (str(step)[:_LONGEST_STEP].replace("~", "~0").replace("/", "~1") for step in path)
    return "#" + "".join(f"/{quote(step, safe='~')}" for step in steps)
