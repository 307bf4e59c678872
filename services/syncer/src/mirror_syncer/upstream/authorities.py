"""Whom to trust over TLS: the system's certificate authorities, and the operator's."""

import os
import ssl
import tempfile
from pathlib import Path

from mirror_syncer.errors import ConfigurationError

# Debian's kin, Red Hat's, the BSDs. The libcurl of a wheel knows only where they lie on the system it was built on.
_SYSTEMS = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/cert.pem"),
)


def authorities(more: Path | None) -> Path | None:
    """
    Return a file in PEM with everybody who is trusted.

    Args:
        more: the operator's authorities, which are trusted besides the system's.

    Raises:
        ConfigurationError: the operator's file cannot be read, or is none.
    """
    paths = (Path(found) for found in (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile) if found)
    system = next((path for path in (*paths, *_SYSTEMS) if path.is_file()), None)
    if more is None:
        return system
    try:
        ssl.create_default_context(cafile=str(more))
        text = more.read_text()
    except (OSError, ValueError) as error:
        problem = f"MIRROR_CA_FILE: {more} is no file of certificates in PEM: {error}"
        raise ConfigurationError(".env", [problem]) from error
    with tempfile.NamedTemporaryFile("w", prefix="authorities-", suffix=".pem", delete=False) as bundle:
        bundle.write(f"{system.read_text() if system else ''}\n{text}\n")
    return Path(bundle.name)
