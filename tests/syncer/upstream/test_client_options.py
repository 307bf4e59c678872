"""Client options: made once from the settings, shared out among workers."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mirror_syncer.config.settings import Settings
from mirror_syncer.upstream import ClientOptions, Limits


def test_settings_make_options_with_every_upstream_setting(tmp_path: Path) -> None:
    """Each setting about upstream reaches the client under its own name."""
    netrc, authorities = tmp_path / "netrc", tmp_path / "ca.pem"
    netrc.write_text("machine nexus.example login mirror password sesame\n")
    authorities.touch()
    settings = Settings.model_validate(
        {
            "upstream": "https://nexus.example",
            "upstream_netrc": netrc,
            "ca_file": authorities,
            "connections": 7,
            "bandwidth": "50MB",
            "contact": "ops@example.org",
        }
    )

    options = settings.client_options(limits=Limits(attempts=2))

    for name in ("hosts", "connections", "bandwidth", "ca_file", "user_agent"):
        assert getattr(options, name) == getattr(settings, name), name
    assert options.credentials is not None
    assert "Authorization" in options.credentials.headers("https://nexus.example/simple/")
    assert options.limits.attempts == 2


@given(workers=st.integers(1, 64), spare=st.integers(0, 36), bandwidth=st.none() | st.integers(64_000, 10**12))
def test_shares_of_all_workers_add_up(workers: int, spare: int, bandwidth: int | None) -> None:
    """All workers together have exactly the connections and the bandwidth, each at least one connection."""
    whole = ClientOptions(user_agent="test", hosts=frozenset(), connections=workers + spare, bandwidth=bandwidth)

    shares = [whole.share(number, of=workers) for number in range(workers)]

    assert sum(share.connections for share in shares) == whole.connections
    assert min(share.connections for share in shares) >= 1
    if bandwidth is None:
        assert {share.bandwidth for share in shares} == {None}
    else:
        assert sum(share.bandwidth or 0 for share in shares) == bandwidth
