"""OSV records and feeds, as OSV publishes them."""

import io
import json
import random
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Record = dict[str, Any]
TODAY = "2026-11-30T06:00:00Z"


def record(record_id: str, project: str = "foo", *, modified: str = TODAY, **more: Any) -> Record:
    """Return a record about one project; versions, ranges and all else are up to the caller."""
    affected = {"package": {"ecosystem": "PyPI", "name": project, "purl": f"pkg:pypi/{project}"}}
    affected |= {key: more.pop(key) for key in ("versions", "ranges") if key in more}
    if "indicators" in more:
        affected["database_specific"] = {"indicators": more.pop("indicators")}
    return {"schema_version": "1.7.3", "id": record_id, "modified": modified, "affected": [affected], **more}


def ecosystem(*events: tuple[str, str]) -> list[Mapping[str, Any]]:
    """Return the ranges of a record: one, with these events."""
    return [{"type": "ECOSYSTEM", "events": [{kind: version} for kind, version in events]}]


def write_zip(path: Path, records: Iterable[Record]) -> Path:
    """Write records as OSV does: a member each, named by its id."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in records:
            archive.writestr(f"{one['id']}.json", json.dumps(one))
    return path


def zipped(records: Iterable[Record]) -> bytes:
    """Return the content of such a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in records:
            archive.writestr(f"{one['id']}.json", json.dumps(one))
    return buffer.getvalue()


def real_looking_feed(count: int) -> Iterable[Record]:
    """Yield records in the proportions of PyPI's part of OSV: half of them malware that lists versions only."""
    dice = random.Random(1)
    words = [f"{a}{b}" for a in ("al", "be", "ga", "de", "ep", "ze", "eta", "the") for b in ("ra", "no", "mix", "to")]

    def prose(length: int) -> str:
        return " ".join(dice.choice(words) for _ in range(length))

    for number in range(count):
        name = f"{dice.choice(words)}-{number // 2 if number % 2 else number}"
        if number % 2:
            versions = [f"{dice.randrange(3)}.{dice.randrange(30)}.{one}" for one in range(dice.randrange(1, 8))]
            yield record(
                f"MAL-2025-{number}",
                name,
                summary=f"Malicious code in {name} (PyPI)",
                details=prose(150),
                versions=versions,
                published=TODAY,
                credits=[{"name": prose(3), "type": "FINDER", "contact": [prose(4)]}] * 2,
                database_specific={
                    "malicious-packages-origins": [
                        {"source": prose(1), "sha256": f"{dice.getrandbits(256):064x}", "versions": versions}
                    ]
                },
            )
            continue
        # Half of what is no malware is known by two records with the same versions.
        project = dice.choice(words) if dice.random() < 0.5 else name
        major = dice.randrange(1, 9)
        versions = [f"{one // 10}.{one % 10}.{patch}" for one in range(major * 4) for patch in range(2)]
        events = [("introduced", "0"), ("fixed", f"{major}.0.1")]
        if dice.random() < 0.4:
            events += [("introduced", f"{major + 1}.0"), ("fixed", f"{major + 1}.2.3")]
        alias = f"CVE-2024-{number}"
        more: Record = {"versions": versions, "ranges": ecosystem(*events), "details": prose(300)}
        more["references"] = [{"type": "WEB", "url": f"https://example.org/{prose(6)}"} for _ in range(8)]
        if dice.random() < 0.6:
            vector = f"CVSS:3.1/AV:{dice.choice('NALP')}/AC:L/PR:{dice.choice('NLH')}/UI:N/S:U/C:{dice.choice('NLH')}"
            more |= {
                "summary": prose(9),
                "severity": [{"type": "CVSS_V3", "score": f"{vector}/I:{dice.choice('NLH')}/A:H"}],
                "database_specific": {"severity": "HIGH", "github_reviewed": True, "cwe_ids": ["CWE-79"]},
            }
            yield record(f"GHSA-{number:04}-aaaa-bbbb", project, aliases=[alias], **more)
        else:
            yield record(f"PYSEC-2024-{number}", project, aliases=[alias], **more)
