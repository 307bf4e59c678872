"""The API's list of unmet requirements, in front of a fake syncer."""

import httpx2

from control.fake_syncer import UNMET, FakeSyncer
from mirror_contract import UnmetRequirement


def test_unmet_list_passes_filters_and_links_on(client: httpx2.Client, syncer: FakeSyncer) -> None:
    """GET /unmet needs no token, passes its filters to the syncer, and links to its next page."""
    first = client.get("/api/v1/unmet?limit=1&reason=no_proof&reason=no_release")
    second = client.get(first.links["next"]["url"])
    one = client.get("/api/v1/unmet?project=SIX").json()["items"]

    assert [UnmetRequirement.model_validate(item) for item in first.json()["items"]] == UNMET[:1]
    assert [UnmetRequirement.model_validate(item) for item in second.json()["items"]] == UNMET[1:]
    assert "next" not in second.links
    assert [item["project"] for item in one] == ["six"]
    assert ("project", "six") in syncer.seen[-1].query


def test_wrong_filter_of_unmet_requirements_is_refused(client: httpx2.Client) -> None:
    """An unknown reason or parameter is 422 and named."""
    for query, pointer in (("reason=none", "query/reason/0"), ("state=failing", "query/state")):
        answer = client.get(f"/api/v1/unmet?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
