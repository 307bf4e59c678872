"""A mirror host whose tree lies in a bucket."""

import shutil
from pathlib import Path

from buckets import ACCESS_KEY, SECRET_KEY, TestBucket
from syncer.site import Site


class BucketSite(Site):
    """
    A site with its tree in a bucket.

    ``endpoint`` may be set to a proxy before the store. ``download`` copies the tree to ``data``, where a
    directory would have it, and where the methods that say what clients find read it.
    """

    def __init__(self, directory: Path, *, upstream: str, bucket: TestBucket) -> None:
        super().__init__(directory, upstream=upstream)
        self.bucket = bucket
        self.endpoint = bucket.server.endpoint
        self.key_file = directory / "key"
        self.key_file.write_text(f"{ACCESS_KEY}:{SECRET_KEY}\n")

    def settings_of_tree(self) -> dict[str, object]:
        """Return the settings that say where the tree is."""
        return {
            "data": str(self.bucket.url),
            "s3_endpoint": self.endpoint,
            "s3_key_file": self.key_file,
        }

    def environment(self, **more: str) -> dict[str, str]:
        """Return the syncer's environment."""
        tree = {f"MIRROR_{key.upper()}": str(value) for key, value in self.settings_of_tree().items()}
        return super().environment(**tree, **more)

    def download(self) -> None:
        """Copy the bucket to ``data``."""
        shutil.rmtree(self.data, ignore_errors=True)
        (self.data / "pypi" / ".staging").mkdir(parents=True)
        self.bucket.download(self.data)
