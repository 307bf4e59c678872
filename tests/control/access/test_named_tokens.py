"""Named tokens: created, listed, revoked, and stored only as digests."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner, Result

from mirror_control.access.named_tokens import NamedTokens
from mirror_control.access.rights import Right, TokenHolder
from mirror_control.access.token import TokenError
from mirror_control.settings import Settings
from mirrorctl.cli import main

Mirrorctl = Callable[..., Result]


@pytest.fixture
def tokens(tmp_path: Path) -> NamedTokens:
    """Return the named tokens of a directory that does not exist yet."""
    return NamedTokens(tmp_path / "tokens")


@pytest.fixture
def mirrorctl(settings: Settings) -> Mirrorctl:
    """Return a function that runs a command as in control's container."""
    return lambda *arguments: CliRunner().invoke(main, arguments)


def status(client: httpx2.Client, token: str, path: str = "/api/v1/misses") -> int:
    """Return the status of a reading call with a token."""
    return client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code


@pytest.mark.proves("security/tokens-and-secrets")
def test_created_token_is_stored_as_digest(tokens: NamedTokens, tmp_path: Path) -> None:
    """A new token has 256 random bits; its file (0600, in a 0700 directory) only holds the digest."""
    first, second = tokens.create("ci", Right.TRIGGER), tokens.create("backup", Right.READ)
    files = sorted((tmp_path / "tokens").iterdir())

    assert [file.name for file in files] == ["backup.json", "ci.json"]
    assert len(first) >= 43
    assert first != second
    assert all(first not in file.read_text() for file in files)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "tokens").stat().st_mode) == 0o700
    assert tokens.find(first.encode()) == TokenHolder("ci", Right.TRIGGER)
    assert tokens.find(f"{first}x".encode()) is None
    assert tokens.find(b"") is None


def test_tokens_change_without_a_restart(client: httpx2.Client, mirrorctl: Mirrorctl) -> None:
    """`mirrorctl token create` and `revoke` take effect with the next request, each for its own token."""
    first = mirrorctl("token", "create", "ci", "--right", "trigger").stdout.strip()
    second = mirrorctl("token", "create", "metrics", "--right", "read").stdout.strip()
    assert (status(client, first), status(client, second)) == (200, 200)
    assert mirrorctl("token", "revoke", "ci").exit_code == 0
    assert (status(client, first), status(client, second)) == (401, 200)
    again = mirrorctl("token", "create", "ci", "--right", "read").stdout.strip()
    assert (status(client, first), status(client, again)) == (401, 200)


def test_token_list_shows_no_secret(mirrorctl: Mirrorctl) -> None:
    """`mirrorctl token list` shows names, rights and creation times, but no secret."""
    made = mirrorctl("token", "create", "ci", "--right", "remove").stdout.strip()
    people, programs = mirrorctl("token", "list").stdout, mirrorctl("token", "list", "--json").stdout

    assert [line.split()[:2] for line in people.splitlines()] == [["token", "right"], ["ci", "remove"]]
    assert [sorted(one) for one in json.loads(programs)] == [["created_at", "name", "right"]]
    assert made not in people + programs


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("create", "operator", "--right", "read"), "'operator' is no valid token name"),
        (("create", "../x", "--right", "read"), "'../x' is no valid token name"),
        (("create", "x" * 33, "--right", "read"), "is no valid token name"),
        (("create", "ci", "--right", "all"), "'read', 'trigger', 'remove'"),
        (("create", "ci"), "--right"),
        (("revoke", "ci"), "there is no token 'ci'"),
        (("revoke", "../../token"), "there is no token '../../token'"),
        (("revoke", "operator"), "write another one into its file"),
    ],
)
def test_invalid_token_command_exits_2(mirrorctl: Mirrorctl, arguments: tuple[str, ...], told: str) -> None:
    """An invalid name or right, or a missing token, exits with 2 and the reason."""
    result = mirrorctl("token", *arguments)
    assert (result.exit_code, told in result.stderr) == (2, True), result.stderr


def test_duplicate_token_name_is_refused(tokens: NamedTokens) -> None:
    """A second token of the same name does not replace the first."""
    first = tokens.create("ci", Right.READ)
    with pytest.raises(TokenError, match="token 'ci' already exists"):
        tokens.create("ci", Right.REMOVE)
    assert tokens.find(first.encode()) == TokenHolder("ci", Right.READ)


def test_number_of_tokens_is_limited(tokens: NamedTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of tokens is limited, because each request checks all of them."""
    monkeypatch.setattr("mirror_control.access.named_tokens._MAX_TOKENS", 2)
    tokens.create("a", Right.READ)
    tokens.create("b", Right.READ)
    with pytest.raises(TokenError, match="revoke one first"):
        tokens.create("c", Right.READ)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"right": "all"}', b"\xff" * 10_000])
def test_corrupt_token_file_affects_only_its_token(tokens: NamedTokens, tmp_path: Path, content: bytes) -> None:
    """A corrupt token file grants nothing, and all other tokens still work."""
    good = tokens.create("good", Right.TRIGGER)
    (tmp_path / "tokens" / "bad.json").write_bytes(content)
    (tmp_path / "tokens" / "notes.txt").write_bytes(content)
    os.mkdir(tmp_path / "tokens" / "dir.json")  # noqa: PTH102 a directory in a file's place
    assert tokens.find(good.encode()) == TokenHolder("good", Right.TRIGGER)
    assert list(tokens.all()) == ["good"]


def test_named_token_works_without_operators_token(client: httpx2.Client, settings: Settings) -> None:
    """If the operator's token file is unusable, named tokens still work and nothing else does."""
    token = settings.tokens.named.create("ci", Right.READ)
    settings.token_file.path.write_text("")
    assert (status(client, token), status(client, "x" * 43)) == (200, 503)


def test_every_token_is_compared(tokens: NamedTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lookup compares each digest in constant time, so its duration reveals nothing."""
    made = [tokens.create(name, Right.READ) for name in ("a", "b", "c")]
    compared: list[str] = []
    real = NamedTokens.find.__globals__["hmac"].compare_digest

    def counting(one: str, other: str) -> bool:
        compared.append(one)
        return bool(real(one, other))

    monkeypatch.setattr("mirror_control.access.named_tokens.hmac.compare_digest", counting)
    for credential in (*made, "none"):
        compared.clear()
        tokens.find(credential.encode())
        assert len(compared) == 3
