"""The OpenAPI document: control conforms to it, and a page shows it."""

import re
from http import HTTPStatus
from typing import Any

import httpx2
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from control.conftest import TOKEN

NO_HTTP = "Invalid HTTP request received."  # Uvicorn's word


def test_every_answer_matches_the_document(client: httpx2.Client) -> None:
    """Any valid or invalid request gets a status and schema that the document lists."""
    document = schemathesis.openapi.from_url(f"{client.base_url}/api/openapi.json")
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == 24

    for operation in operations:
        right, wrong = (operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode)

        @given(case=right | wrong)
        @settings(max_examples=40, suppress_health_check=list(HealthCheck))
        def keeps(case: schemathesis.Case[Any]) -> None:
            answer = case.call(headers={"Authorization": f"Bearer {TOKEN}"})
            if answer.text == NO_HTTP:  # such as a Content-Length that is no number: no call at all
                assert answer.status_code == HTTPStatus.BAD_REQUEST
            else:
                # A schema can't say which option goes with which kind, nor what a project's name is: 422 is right.
                case.validate_response(answer, excluded_checks=[positive_data_acceptance])

        keeps()


def test_every_error_is_documented_as_problem(client: httpx2.Client) -> None:
    """The document promises no error in another format than RFC 9457."""
    document = client.get("/api/openapi.json").json()
    for path, calls in document["paths"].items():
        for call in calls.values():
            refusals = [answer for status, answer in call["responses"].items() if status >= "400"]
            assert all(list(answer["content"]) == ["application/problem+json"] for answer in refusals), path
    assert document["components"]["schemas"]["Problem"]["required"] == ["title", "status"]


def test_docs_page_shows_every_call_and_schema(client: httpx2.Client) -> None:
    """/api/docs shows the whole document, and all its links work."""
    document = client.get("/api/openapi.json").json()
    page = client.get("/api/docs").text
    places = set(re.findall(r' id="([^"]+)"', page))
    calls = {call["operationId"] for calls in document["paths"].values() for call in calls.values()}

    assert calls <= places
    assert set(document["components"]["schemas"]) <= places
    assert set(re.findall(r'href="#([^"]+)"', page)) <= places
    assert "\N{REPLACEMENT CHARACTER}" not in page


def test_docs_page_loads_nothing_external(client: httpx2.Client) -> None:
    """The page is one of the site, and works behind a firewall: it loads only what the mirror itself serves."""
    answer = client.get("/api/docs")

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    loaded = re.findall(r'(?:src|rel="(?:stylesheet|icon)" href)="([^"]+)"', answer.text)
    assert loaded
    assert all(re.match(r"\.\./ui/static/[0-9a-f]{12}/", url) for url in loaded)
    assert not re.search(r"<style|<script>|https?://|@import|url\(", answer.text)
    assert answer.headers["content-security-policy"].startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'"
    )
    assert '<a href="../api/docs" aria-current="page">API</a>' in answer.text
