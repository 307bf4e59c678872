"""`mirror-syncer import` of locks that the real tools wrote."""

import tomllib
from pathlib import Path

import pytest

from mirror_syncer.config.locks.lock_source import read_locks
from syncer.importing import POLICY, Import

FILES = Path(__file__).parents[1] / "config" / "locks" / "files"
HASH = "--hash=sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("uv.lock", "uv.lock", 1),  # it has a package from a URL
        ("poetry.lock", "poetry.lock", 1),
        ("pdm.lock", "pdm.lock", 1),
        ("pylock.uv.toml", "pylock.toml", 1),
        ("pylock.pip.toml", "pylock.toml", 0),
        ("Pipfile.lock", "Pipfile.lock", 1),
        ("requirements.txt", "requirements.txt", 1),  # from uv export, with hashes
    ],
)
def test_lock_is_copied_and_in_force(name: str, kind: str, code: int, importer: Import) -> None:
    """A lock is copied to locks/ as it is, and mirror.toml names it, so that the next run keeps what it pins."""
    done = importer.run(FILES / name)

    assert done.code == code, done.err
    assert (importer.config / "locks" / name).read_bytes() == (FILES / name).read_bytes()
    patterns = tomllib.loads(importer.policy)["dependencies"]["locks"]
    assert patterns == [f"locks/{name}"]
    [found] = read_locks(patterns, importer.config).files
    assert found.kind == kind
    assert f"{kind} with {found.pins:,} pins, which stay on the mirror" in done.err
    assert f"[dependencies] locks: locks/{name}" in done.err
    assert "docker compose exec control mirrorctl sync" in done.err
    assert ("Left out, with what to do:" in done.err) == bool(code)


def test_lock_under_a_pattern_leaves_mirror_toml_alone(importer: Import) -> None:
    """If a pattern of mirror.toml covers the copy, mirror.toml does not change."""
    policy = f'{POLICY}[dependencies]\nlocks = ["locks/*.lock"] # all\n'
    importer.write_policy(policy)

    importer.run(FILES / "poetry.lock")

    assert importer.policy == policy
    assert (importer.config / "locks/poetry.lock").exists()


def test_second_pattern_joins_the_first(importer: Import) -> None:
    """A pattern is added to the list that is there, and the comments stay."""
    importer.write_policy(f'{POLICY}[dependencies]\nlocks = ["pins/*.lock"] # all\n')

    importer.run(FILES / "uv.lock")

    assert importer.policy.endswith('[dependencies]\nlocks = ["pins/*.lock", "locks/uv.lock"] # all\n')


def test_lock_of_the_same_name_is_replaced_only_with_force(importer: Import) -> None:
    """Every application's lock is called uv.lock: other content needs --force or --name, the same needs none."""
    importer.run(FILES / "uv.lock")
    newer = importer.write("uv.lock", (FILES / "uv.lock").read_text() + "# newer\n")

    again = importer.run(FILES / "uv.lock")
    refused = importer.run(newer)
    named = importer.run(newer, "--name", "shop.lock")
    kept = (importer.config / "locks/uv.lock").read_bytes()
    forced = importer.run(newer, "--force")

    assert again.code == 1
    assert "Nothing to add." in again.err
    assert refused.code == 2
    assert "is there with other content; --force replaces it" in refused.err
    assert (named.code, forced.code) == (1, 1)
    assert kept == (FILES / "uv.lock").read_bytes()
    assert (importer.config / "locks/uv.lock").read_bytes() == newer.read_bytes()
    assert tomllib.loads(importer.policy)["dependencies"]["locks"] == ["locks/uv.lock", "locks/shop.lock"]


@pytest.mark.proves("security/mistakes")
@pytest.mark.parametrize("name", ["../x.lock", "a/b.lock", ".hidden.lock", "*.lock", "a\nb.lock", "x" * 300, ".."])
def test_name_of_a_lock_stays_in_its_directory(name: str, importer: Import) -> None:
    """--name takes a plain file name, so that nothing is written elsewhere, and the pattern means that file alone."""
    done = importer.run(FILES / "uv.lock", "--name", name)

    assert done.code == 2
    assert "must be a plain file name" in done.err
    assert importer.policy == POLICY
    assert not (importer.config / "locks").exists()


def test_locks_directory_that_leads_out_is_refused(importer: Import) -> None:
    """A locks/ that is a symlink out of the directory of mirror.toml is not written to, since it is not read."""
    (importer.config / "locks").symlink_to(importer.source)

    done = importer.run(FILES / "uv.lock")

    assert done.code == 2
    assert "is a symlink out of the directory of mirror.toml" in done.err
    assert importer.policy == POLICY
    assert not list(importer.source.iterdir())


def test_dry_run_of_a_lock_copies_nothing(importer: Import) -> None:
    """--dry-run says where a lock would be copied, and shows the pattern."""
    done = importer.run(FILES / "uv.lock", "--dry-run")

    assert "Would be copied to" in done.err
    assert '+locks = ["locks/uv.lock"]' in done.out
    assert importer.policy == POLICY
    assert not (importer.config / "locks").exists()


@pytest.mark.parametrize(
    ("text", "is_lock"),
    [
        (f"idna==3.10 {HASH}\nsix==1.17.0 \\\n  {HASH}\n", True),
        (f"-e .\nidna==3.10 {HASH}\n", True),
        ("# This file is autogenerated by pip-compile with Python 3.12\nidna==3.10\n", True),
        ("# This file was autogenerated by uv via the following command:\n#    uv pip compile\nidna==3.10\n", True),
        (f"idna==3.10 {HASH}\nsix==1.17.0\n", False),
        ("idna==3.10\nsix==1.17.0\n", False),
        ("# autogenerated by uv\nidna>=3\n", False),
    ],
)
def test_requirements_are_a_lock_only_if_complete(text: str, is_lock: bool, importer: Import) -> None:  # noqa: FBT001 - a parameter
    """Requirements are copied as a lock if all are pinned with hashes or pip-compile or uv wrote them; else lines."""
    importer.import_text("requirements.txt", text)

    assert (importer.config / "locks/requirements.txt").exists() is is_lock
    assert ("locks" in importer.policy) is is_lock


def test_person_decides_what_requirements_become(importer: Import) -> None:
    """--as lock and --as lines override what the content tells; a lock of another format cannot become lines."""
    lock = importer.import_text("freeze.txt", "idna==3.10\n", "--as", "lock")
    lines = importer.import_text("hashed.txt", f"six==1.17.0 {HASH}\n", "--as", "lines")
    refused = importer.run(FILES / "uv.lock", "--as", "lines")

    assert (lock.code, lines.code, refused.code) == (0, 0, 2)
    assert (importer.config / "locks/freeze.txt").exists()
    assert '"six==1.17.0",' in importer.policy
    assert "cannot be imported as lines" in refused.err


def test_lock_that_pins_nothing_is_refused(importer: Import) -> None:
    """A lock without a pin, with includes, or of an unknown version is refused with the reason; nothing is copied."""
    unpinned = importer.import_text("r.txt", "idna>=3\n", "--as", "lock")
    includes = importer.import_text("r.txt", "idna==3\n-r base.txt\n", "--as", "lock")
    unknown = importer.import_text("uv.lock", 'version = 9\nrequires-python = ">=3"\n')

    assert (unpinned.code, includes.code, unknown.code) == (2, 2, 2)
    assert "idna is not pinned to one version" in unpinned.err
    assert "includes base.txt; copy both to locks/ yourself" in includes.err
    assert "uv.lock version 9 is unknown" in unknown.err
    assert importer.policy == POLICY
    assert not (importer.config / "locks").exists()


def test_options_of_locks_are_refused_for_lines(importer: Import) -> None:
    """--name and --force have no meaning for lines, and say so."""
    done = importer.import_text("requirements.txt", "flask\n", "--name", "x.lock")

    assert done.code == 2
    assert "--name and --force are for locks" in done.err
