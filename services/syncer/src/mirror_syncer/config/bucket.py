"""The bucket that ``MIRROR_DATA`` may name instead of a directory, and how to reach its object store."""

import re
from dataclasses import dataclass, field
from typing import Self

SCHEME = "s3://"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PART = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True, slots=True)
class BucketUrl:
    """
    ``s3://bucket/prefix``.

    Attributes:
        prefix: without slashes at its ends; empty: the tree begins at the top of the bucket.
    """

    bucket: str
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Parse a URL.

        Raises:
            ValueError: the name of the bucket or the prefix is invalid.
        """
        bucket, _, prefix = text.removeprefix(SCHEME).rstrip("/").partition("/")
        if not _BUCKET.fullmatch(bucket) or ".." in bucket:
            raise ValueError("must name a bucket, as in s3://bucket/prefix")
        parts = prefix.split("/") if prefix else []
        if any(not _PART.fullmatch(part) or part in (".", "..") for part in parts):
            raise ValueError("must have a prefix of letters, digits and ._- only, as in s3://bucket/prefix")
        return cls(bucket, prefix)

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")


@dataclass(frozen=True, slots=True)
class BucketAccess:
    """
    What opens a bucket.

    Attributes:
        endpoint: the URL of the object store; the bucket is the first part of the path below it.
        authorities: certificates in PEM to trust in addition to the system's.
    """

    url: BucketUrl
    endpoint: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    authorities: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.url} at {self.endpoint}"
