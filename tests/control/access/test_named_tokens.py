"""Tokens with a name and a right: made, listed, revoked, and never kept as they are."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner, Result

from mirror_control.access.named_tokens import NamedTokens
from mirror_control.access.rights import Holder, Right
from mirror_control.access.token import TokenError
from mirror_control.settings import Settings
from mirrorctl.cli import main

Mirrorctl = Callable[..., Result]


@pytest.fixture
def tokens(tmp_path: Path) -> NamedTokens:
    """No token yet, and no directory for them."""
    return NamedTokens(tmp_path / "tokens")


@pytest.fixture
def mirrorctl(settings: Settings) -> Mirrorctl:
    """Run a command as control's container would."""
    return lambda *arguments: CliRunner().invoke(main, arguments)


def status(client: httpx2.Client, token: str, path: str = "/api/v1/misses") -> int:
    """Return what a reading call that needs a token answers."""
    return client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code


@pytest.mark.proves("security/tokens-and-secrets")
def test_token_is_made_and_its_digest_kept(tokens: NamedTokens, tmp_path: Path) -> None:
    """A new token has 256 random bits; its file, 0600 in a directory of 0700, does not hold it."""
    first, second = tokens.create("ci", Right.TRIGGER), tokens.create("backup", Right.READ)
    files = sorted((tmp_path / "tokens").iterdir())

    assert [file.name for file in files] == ["backup.json", "ci.json"]
    assert len(first) >= 43
    assert first != second
    assert all(first not in file.read_text() for file in files)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "tokens").stat().st_mode) == 0o700
    assert tokens.find(first.encode()) == Holder("ci", Right.TRIGGER)
    assert tokens.find(f"{first}x".encode()) is None
    assert tokens.find(b"") is None


def test_tokens_change_without_a_restart(client: httpx2.Client, mirrorctl: Mirrorctl) -> None:
    """`mirrorctl token create` and `revoke` are in force at the next request, and each for its token alone."""
    first = mirrorctl("token", "create", "ci", "--right", "trigger").stdout.strip()
    second = mirrorctl("token", "create", "metrics", "--right", "read").stdout.strip()
    assert (status(client, first), status(client, second)) == (200, 200)
    assert mirrorctl("token", "revoke", "ci").exit_code == 0
    assert (status(client, first), status(client, second)) == (401, 200)
    again = mirrorctl("token", "create", "ci", "--right", "read").stdout.strip()
    assert (status(client, first), status(client, again)) == (401, 200)


def test_tokens_are_listed(mirrorctl: Mirrorctl) -> None:
    """`mirrorctl token list` shows names, rights and when they were made, and nothing that opens a door."""
    made = mirrorctl("token", "create", "ci", "--right", "remove").stdout.strip()
    people, programs = mirrorctl("token", "list").stdout, mirrorctl("token", "list", "--json").stdout

    assert [line.split()[:2] for line in people.splitlines()] == [["token", "right"], ["ci", "remove"]]
    assert [sorted(one) for one in json.loads(programs)] == [["created_at", "name", "right"]]
    assert made not in people + programs


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("create", "operator", "--right", "read"), "'operator' cannot be a token's name"),
        (("create", "../x", "--right", "read"), "'../x' cannot be a token's name"),
        (("create", "x" * 33, "--right", "read"), "cannot be a token's name"),
        (("create", "ci", "--right", "all"), "'read', 'trigger', 'remove'"),
        (("create", "ci"), "--right"),
        (("revoke", "ci"), "there is no token 'ci'"),
        (("revoke", "../../token"), "there is no token '../../token'"),
        (("revoke", "operator"), "by writing another one into its file"),
    ],
)
def test_wrong_wishes_are_told(mirrorctl: Mirrorctl, arguments: tuple[str, ...], told: str) -> None:
    """A name that is none, a right that is none, a token that is not there: exit code 2, and why."""
    result = mirrorctl("token", *arguments)
    assert (result.exit_code, told in result.stderr) == (2, True), result.stderr


def test_name_is_taken_once(tokens: NamedTokens) -> None:
    """A second token of a name does not replace the first, which somebody uses."""
    first = tokens.create("ci", Right.READ)
    with pytest.raises(TokenError, match="there is a token 'ci' already"):
        tokens.create("ci", Right.REMOVE)
    assert tokens.find(first.encode()) == Holder("ci", Right.READ)


def test_tokens_are_bounded(tokens: NamedTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """As each request with a token looks at them all, there is a most."""
    monkeypatch.setattr("mirror_control.access.named_tokens._MAX_TOKENS", 2)
    tokens.create("a", Right.READ)
    tokens.create("b", Right.READ)
    with pytest.raises(TokenError, match="revoke one first"):
        tokens.create("c", Right.READ)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"right": "all"}', b"\xff" * 10_000])
def test_damaged_file_costs_its_token(tokens: NamedTokens, tmp_path: Path, content: bytes) -> None:
    """A file that holds no token opens nothing, and keeps none of the others from being used."""
    good = tokens.create("good", Right.TRIGGER)
    (tmp_path / "tokens" / "bad.json").write_bytes(content)
    (tmp_path / "tokens" / "notes.txt").write_bytes(content)
    os.mkdir(tmp_path / "tokens" / "dir.json")  # noqa: PTH102 a directory in a file's place
    assert tokens.find(good.encode()) == Holder("good", Right.TRIGGER)
    assert list(tokens.all()) == ["good"]


def test_named_token_needs_no_operators(client: httpx2.Client, settings: Settings) -> None:
    """Where the operator's file became unusable, a named token still opens what it did; nothing else does."""
    token = settings.tokens.named.create("ci", Right.READ)
    settings.token_file.path.write_text("")
    assert (status(client, token), status(client, "x" * 43)) == (200, 503)


def test_every_token_is_compared(tokens: NamedTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever it is, found or not, each digest is compared, in constant time: how long it takes tells nothing."""
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
