"""The control of the fake upstream, which runs in a container."""

from dataclasses import dataclass
from typing import Any

import httpx2

JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True)
class Upstream:
    """The fake PyPI's control endpoint; its verbs are in ``fakepypi/control.py``."""

    client: httpx2.Client

    def do(self, verb: str, **arguments: object) -> Any:
        """Call a verb."""
        answer = self.client.post("/_control", json={"verb": verb} | arguments)
        assert answer.is_success, answer.text
        return answer.json()

    def upload(self, project: str, version: str, **options: object) -> None:
        """Upload a release: a wheel, and an sdist unless turned off."""
        self.do("upload", project=project, version=version, **options)

    def fault(self, on: str, do: dict[str, object], **target: object) -> int:
        """Add a fault, and return the rule's number."""
        rule: int = self.do("fault", on=on, do=do, **target)["rule"]
        return rule

    def files(self, project: str) -> dict[str, str]:
        """Return the sha256 of each of a project's files, by name."""
        page = self.client.get(f"/simple/{project}/", headers={"Accept": JSON}).json()
        return {file["filename"]: file["hashes"]["sha256"] for file in page["files"]}

    def requested(self, suffix: str) -> int:
        """Return how many requests had a path that ends with this."""
        return sum(exchange["path"].endswith(suffix) for exchange in self.do("requests")["requests"])
