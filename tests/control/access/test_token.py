"""The token: made where none is given, refused where it is unusable, replaced without a restart."""

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
def test_without_a_file_control_makes_a_token(settings: Settings, given: str | None) -> None:
    """Unset and /dev/null mean: made once, at least 32 random bytes, kept 0600, the same ever after."""
    own = Settings.model_validate({**dict(settings), "control_token_file": given}).token_file
    own.make()
    first = own.current()
    own.make()

    assert own.path == settings.control_state / "token"
    assert stat.S_IMODE(own.path.stat().st_mode) == 0o600
    assert len(first) >= 43
    assert TokenFile(own.path).current() == first
    assert os.listdir(settings.control_state) == ["token"]  # noqa: PTH208 nothing temporary is left


def test_two_mirrors_have_two_tokens(tmp_path: Path) -> None:
    """A made token is random."""
    tokens = [TokenFile(tmp_path / name) for name in "ab"]
    for token in tokens:
        token.make()

    assert tokens[0].current() != tokens[1].current()


def test_white_space_around_a_token_is_none_of_it(tmp_path: Path) -> None:
    """What editors and echo add at the ends does not count."""
    (tmp_path / "token").write_text(f"\n {TOKEN}\r\n")

    assert TokenFile(tmp_path / "token").current() == TOKEN.encode()


@pytest.mark.proves("reliability/host")
def test_byte_order_mark_before_a_token_is_none_of_it(tmp_path: Path) -> None:
    """What Notepad and PowerShell put before the first letter does not count."""
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
        (b"two words that are long", "one word"),
        ("tökén-tökén-tökén".encode(), "one word"),
        (b"sixteen\x00characters", "one word"),
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
def test_an_unusable_file_stops_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, told: str
) -> None:
    """An operator's file that holds no usable token is refused by name, and never repeated."""
    path = tmp_path / "given"
    path.write_bytes(content)
    monkeypatch.setenv("MIRROR_CONTROL_TOKEN_FILE", str(path))
    with pytest.raises(SettingsError, match=told) as refused:
        Settings.load()

    assert str(path) in str(refused.value)
    assert not content.strip() or content.decode() not in str(refused.value)


def test_a_random_token_is_no_placeholder(tmp_path: Path) -> None:
    """What openssl or control itself makes is never refused, nor are words that say nothing of a token."""
    path = tmp_path / "token"
    random = Random(4)
    made = [random.randbytes(8).hex() for _ in range(2000)] + [b64encode(random.randbytes(12)) for _ in range(2000)]
    for token in (*made, "correct-horse-battery-staple"):
        path.write_bytes(token.encode() if isinstance(token, str) else token)
        assert TokenFile(path).current() == path.read_bytes()


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    """What compose makes of a wrong path is told apart, with who must be able to read it."""
    with pytest.raises(TokenError, match=f"No such file or directory; it must be readable by uid {os.geteuid()}"):
        TokenFile(tmp_path / "none").current()
    with pytest.raises(TokenError, match="Is a directory"):
        TokenFile(tmp_path).current()


def test_a_token_is_replaced_without_a_restart(client: httpx2.Client, settings: Settings) -> None:
    """From the next request on, the new token counts and the old one does not."""

    def pause(token: str) -> int:
        return client.post("/api/v1/schedule/pause", headers={"Authorization": f"Bearer {token}"}).status_code

    before = pause(TOKEN)
    settings.token_file.path.write_text("another-token-of-the-tests")

    assert (before, pause(TOKEN), pause("another-token-of-the-tests")) == (200, 401, 200)


def test_a_token_that_became_unusable_opens_nothing(client: httpx2.Client, settings: Settings) -> None:
    """An emptied file refuses everyone with 503, with the old token or any other, and /readyz says why."""
    settings.token_file.path.write_text("")
    answers = [
        client.post("/api/v1/schedule/pause", headers={"Authorization": f"Bearer {token}"}) for token in (TOKEN, "x")
    ]
    ready = client.get("/readyz")

    assert [answer.status_code for answer in answers] == [503, 503]
    assert ready.status_code == 503
    assert "is empty" in ready.json()["detail"]
