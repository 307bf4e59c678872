"""The operator's token: created if missing, refused if unusable, replaced without a restart."""

import os
import stat
from base64 import b64encode
from codecs import BOM_UTF8
from pathlib import Path
from random import Random

import httpx2
import pytest

from control.conftest import TOKEN
from mirror_control.access.token import TokenError, TokenFile
from mirror_control.settings import Settings, SettingsError


@pytest.mark.parametrize("given", [None, "/dev/null"])
def test_missing_token_file_creates_a_token(settings: Settings, given: str | None) -> None:
    """Without a file, or with /dev/null, control creates one random token of 32 bytes with mode 0600 and keeps it."""
    own = Settings.model_validate({**dict(settings), "control_token_file": given}).token_file
    own.create_if_missing()
    first = own.current()
    own.create_if_missing()

    assert own.path == settings.control_state / "token"
    assert stat.S_IMODE(own.path.stat().st_mode) == 0o600
    assert len(first) >= 43
    assert TokenFile(own.path).current() == first
    assert os.listdir(settings.control_state) == ["token"]  # noqa: PTH208 nothing temporary is left


def test_created_tokens_differ(tmp_path: Path) -> None:
    """Two created tokens differ."""
    tokens = [TokenFile(tmp_path / name) for name in "ab"]
    for token in tokens:
        token.create_if_missing()

    assert tokens[0].current() != tokens[1].current()


def test_white_space_around_token_is_ignored(tmp_path: Path) -> None:
    """White space around a token, as editors and echo add it, is ignored."""
    (tmp_path / "token").write_text(f"\n {TOKEN}\r\n")

    assert TokenFile(tmp_path / "token").current() == TOKEN.encode()


@pytest.mark.proves("reliability/host")
def test_byte_order_mark_before_token_is_ignored(tmp_path: Path) -> None:
    """A byte order mark, as Notepad and PowerShell write it, is ignored."""
    (tmp_path / "token").write_bytes(BOM_UTF8 + TOKEN.encode() + b"\r\n")

    assert TokenFile(tmp_path / "token").current() == TOKEN.encode()


@pytest.mark.proves("security/tokens-and-secrets")
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        (b"changethis", "16 to 4096 characters"),
        (b"x" * 5000, "16 to 4096 characters"),
        (b"two words that are long", "only letters, digits"),
        ("tökén-tökén-tökén".encode(), "only letters, digits"),
        (b"sixteen\x00characters", "only letters, digits"),
        (b"changeme", "16 to 4096 characters"),
        (b"changemechangeme", "placeholder"),
        (b"change-me-please-123", "placeholder"),
        (b"Your_Secret_Token_Here", "placeholder"),
        (b"replace-this-with-your-token", "placeholder"),
        (b"0000000000000000", "placeholder"),
        (b"x" * 64, "placeholder"),
        (b"12345678" * 2, "placeholder"),
    ],
)
def test_unusable_token_file_stops_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, told: str
) -> None:
    """An unusable token file stops the start; the message names the file and never repeats its content."""
    path = tmp_path / "given"
    path.write_bytes(content)
    monkeypatch.setenv("MIRROR_CONTROL_TOKEN_FILE", str(path))
    with pytest.raises(SettingsError, match=told) as refused:
        Settings.load()

    assert str(path) in str(refused.value)
    assert not content.strip() or content.decode() not in str(refused.value)


def test_random_token_is_not_a_placeholder(tmp_path: Path) -> None:
    """Tokens of openssl and of control, and words without meaning, never count as placeholders."""
    path = tmp_path / "token"
    random = Random(4)
    made = [random.randbytes(8).hex() for _ in range(2000)] + [b64encode(random.randbytes(12)) for _ in range(2000)]
    for token in (*made, "correct-horse-battery-staple"):
        path.write_bytes(token.encode() if isinstance(token, str) else token)
        assert TokenFile(path).current() == path.read_bytes()


def test_missing_token_file_and_directory_are_refused(tmp_path: Path) -> None:
    """A missing file and a directory get different messages, with the user id that must be able to read."""
    with pytest.raises(TokenError, match=f"No such file or directory; it must be readable by uid {os.geteuid()}"):
        TokenFile(tmp_path / "none").current()
    with pytest.raises(TokenError, match="Is a directory"):
        TokenFile(tmp_path).current()


def test_token_is_replaced_without_restart(client: httpx2.Client, settings: Settings) -> None:
    """After a replacement, the next request accepts the new token and refuses the old one."""

    def pause(token: str) -> int:
        return client.post("/api/v1/schedule/pause", headers={"Authorization": f"Bearer {token}"}).status_code

    before = pause(TOKEN)
    settings.token_file.path.write_text("another-token-of-the-tests")

    assert (before, pause(TOKEN), pause("another-token-of-the-tests")) == (200, 401, 200)


def test_token_that_became_unusable_is_503(client: httpx2.Client, settings: Settings) -> None:
    """An emptied token file answers every token with 503, and /readyz shows the reason."""
    settings.token_file.path.write_text("")
    answers = [
        client.post("/api/v1/schedule/pause", headers={"Authorization": f"Bearer {token}"}) for token in (TOKEN, "x")
    ]
    ready = client.get("/readyz")

    assert [answer.status_code for answer in answers] == [503, 503]
    assert ready.status_code == 503
    assert "is empty" in ready.json()["detail"]
