"""The settings of a bucket: what is missing or wrong is told with the others."""

from pathlib import Path

import pytest

from mirror_syncer.config.bucket import BucketUrl
from mirror_syncer.config.settings import Settings, read_settings
from mirror_syncer.errors import ConfigurationError


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A file with a key."""
    path = tmp_path / "key"
    path.write_text("access-key:secret:key\n")
    return path


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, key_file: Path) -> pytest.MonkeyPatch:
    """The environment of a mirror in a bucket."""
    monkeypatch.setenv("MIRROR_DATA", "s3://my-bucket/mirrors/main/")
    monkeypatch.setenv("MIRROR_S3_ENDPOINT", "https://store.example.org:8000/")
    monkeypatch.setenv("MIRROR_S3_KEY_FILE", str(key_file))
    return monkeypatch


def problems() -> str:
    """Return what is wrong with the settings."""
    with pytest.raises(ConfigurationError) as error:
        read_settings()
    return str(error.value)


@pytest.mark.usefixtures("bucket")
def test_bucket_and_its_key_are_read() -> None:
    """URL, endpoint, region and key are read; no text of the settings shows the secret."""
    settings = read_settings()
    assert settings.data == BucketUrl("my-bucket", "mirrors/main")
    assert settings.worker_count == 1
    access = settings.location()
    assert not isinstance(access, Path)
    assert (access.access_key, access.secret_key) == ("access-key", "secret:key")
    assert (access.endpoint, access.region) == ("https://store.example.org:8000", "us-east-1")
    assert str(access) == "s3://my-bucket/mirrors/main at https://store.example.org:8000"
    assert "secret" not in repr(access)


def test_directory_needs_nothing_of_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is a directory, and no other setting is missing."""
    monkeypatch.setenv("MIRROR_DATA", "/srv/s3")
    assert Settings().location() == Path("/srv/s3")


@pytest.mark.parametrize(
    "url", ["s3://", "s3://B", "s3://a", "s3://bucket/../other", "s3://bucket/a//b", "s3://bucket/a b", "s3://a..b"]
)
def test_wrong_url_is_told(bucket: pytest.MonkeyPatch, url: str) -> None:
    """A URL that names no bucket, or a prefix that needs an encoding, is wrong."""
    bucket.setenv("MIRROR_DATA", url)
    assert "as in s3://bucket/prefix" in problems()


def test_all_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without endpoint, without key and with several workers, all three are told at once."""
    monkeypatch.setenv("MIRROR_DATA", "s3://bucket")
    monkeypatch.setenv("MIRROR_WORKERS", "4")
    said = problems()
    assert "MIRROR_S3_ENDPOINT = None: must be the URL of the object store" in said
    assert "MIRROR_S3_KEY_FILE = None: must name a file" in said
    assert "MIRROR_WORKERS = '4': must be 1 or auto" in said


@pytest.mark.parametrize("endpoint", ["store:8000", "ftp://store", "http://store/path", "http://user:pw@store"])
def test_wrong_endpoint_is_told(bucket: pytest.MonkeyPatch, endpoint: str) -> None:
    """An endpoint is the URL of a server alone."""
    bucket.setenv("MIRROR_S3_ENDPOINT", endpoint)
    said = problems()
    assert "must be the URL of the object store" in said
    assert "pw" not in said


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("content", ["only-one-word-in-here", "two words:and-a-secret", ":secret-without-access"])
def test_wrong_key_is_told(key_file: Path, content: str) -> None:
    """A key file without two parts is wrong; the message does not repeat it."""
    key_file.write_text(content)
    with pytest.raises(ConfigurationError, match="ACCESSKEY:SECRETKEY") as error:
        read_settings().location()
    assert "secret-" not in str(error.value)
