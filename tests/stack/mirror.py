"""The mirror as users and operators see it: nginx serves pages and files, the control API runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx2

from stack.compose import until
from stack.fake import JSON


@dataclass(frozen=True)
class Mirror:
    """A client of nginx, with the token for changing calls."""

    client: httpx2.Client
    token: str

    def ask(self, **wanted: object) -> httpx2.Response:
        """Request a run."""
        return self.client.post("/api/v1/runs", json=wanted, headers={"Authorization": f"Bearer {self.token}"})

    def start(self, **wanted: object) -> str:
        """Request a run, and return its id."""
        answer = self.ask(**wanted)
        assert answer.status_code == 202, answer.text
        identifier: str = answer.json()["id"]
        return identifier

    def run(self, identifier: str) -> dict[str, Any]:
        """Return the current state of a run."""
        run: dict[str, Any] = self.client.get(f"/api/v1/runs/{identifier}").raise_for_status().json()
        return run

    def wait(self, identifier: str, *, seconds: float = 60) -> dict[str, Any]:
        """Return a run once it has ended."""
        until(lambda: self.run(identifier)["state"] not in ("queued", "running"), seconds=seconds)
        return self.run(identifier)

    def sync(self, *projects: str) -> dict[str, Any]:
        """Sync these projects, or all, to the end."""
        return self.wait(self.start(kind="sync", **({"projects": projects} if projects else {})))

    def idle(self) -> bool:
        """Whether no run is queued or running."""
        status = self.client.get("/api/v1/status").raise_for_status().json()
        return not status["running"] and not status["queued"] and status["last_run"] is not None

    def project(self, name: str) -> dict[str, Any]:
        """Return the API's answer about a project."""
        project: dict[str, Any] = self.client.get(f"/api/v1/projects/{name}").raise_for_status().json()
        return project

    def files(self, project: str) -> dict[str, str]:
        """Return the path of each file that a project's page names, by file name."""
        return {file["filename"]: path for file, path in self._listed(project)}

    def missing(self, projects: Iterable[str]) -> list[str]:
        """Return the missing paths among the files and metadata that these projects' pages name."""
        named = []
        for project in projects:
            for file, path in self._listed(project):
                named += [path, f"{path}.metadata"] if file.get("core-metadata") else [path]
        return [path for path in named if self.client.head(path).status_code != 200]

    def _listed(self, project: str) -> list[tuple[dict[str, Any], str]]:
        path = f"/simple/{project}/"
        page = self.client.get(path, headers={"Accept": JSON}).raise_for_status().json()
        return [(file, urljoin(path, file["url"])) for file in page["files"]]
