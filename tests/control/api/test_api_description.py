"""The committed OpenAPI document, with an example for each request and response."""

from typing import Any

import httpx2
import pytest

from control import openapi


@pytest.fixture
def calls(client: httpx2.Client) -> dict[str, dict[str, Any]]:
    """Return every call of the document by its id."""
    document = client.get("/api/openapi.json").json()
    return {call["operationId"]: call for calls in document["paths"].values() for call in calls.values()}


def test_committed_document_is_current() -> None:
    """docs/openapi.json matches control's own document."""
    current = openapi.FILE.read_text(encoding="utf-8") == openapi.text()
    assert current, "docs/openapi.json is not what control says now: run scripts/openapi, and look at git diff"


def test_every_answer_has_an_example(calls: dict[str, dict[str, Any]]) -> None:
    """Each JSON response has an example; mirror_control/api/examples.py defines them."""
    bare = {
        f"{name} {status}"
        for name, call in calls.items()
        for status, answer in call["responses"].items()
        for kind, content in answer.get("content", {}).items()
        if kind.endswith("json") and "example" not in content
    }
    assert bare == set(), test_every_answer_has_an_example.__doc__


def test_every_parameter_has_an_example(calls: dict[str, dict[str, Any]]) -> None:
    """Each parameter and body has an example, a default or a list of allowed values."""
    asked = {
        f"{name} {one['name']}": one["schema"] for name, call in calls.items() for one in call.get("parameters", [])
    } | {
        name: call["requestBody"]["content"]["application/json"]["schema"]
        for name, call in calls.items()
        if "requestBody" in call
    }
    bare = {
        name
        for name, schema in asked.items()
        if not (schema.keys() & {"default", "enum", "examples"}) and "#/components/schemas/RunKind" not in str(schema)
    }
    assert bare == set()
