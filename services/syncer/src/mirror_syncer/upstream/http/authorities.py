"""The trusted certificate authorities for TLS: the system's, and the operator's."""

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mirror_syncer.errors import ConfigurationError
from mirror_syncer.upstream.http.memory_file import memory_file

# Debian, Red Hat, BSD. The libcurl in a wheel knows only the path of the system that built it.
_SYSTEMS = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/cert.pem"),
)
# RFC 7468 2: text outside the boundaries is ignored in any encoding, a BOM included.
_CERTIFICATE = re.compile(
    rb"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[A-Za-z0-9+/=\s]+?-----END \1-----", re.ASCII
)


@contextmanager
def trusted_authorities(extra: Path | None) -> Iterator[Path | None]:
    """
    Yield the path of a PEM file with all trusted authorities, or None for libcurl's own choice.

    If the operator adds some, the file lies in memory, so that a killed process leaves nothing behind.

    Args:
        extra: a PEM file of the operator's authorities, trusted in addition to the system's.

    Raises:
        ConfigurationError: the operator's file cannot be read, or holds no certificate.
    """
    paths = (Path(found) for found in (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile) if found)
    system = next((path for path in (*paths, *_SYSTEMS) if path.is_file()), None)
    if extra is None:
        yield system
        return
    certificates = _read_certificates(extra)
    with memory_file(b"\n".join([system.read_bytes() if system else b"", *certificates, b""])) as bundle:
        yield bundle


def _read_certificates(path: Path) -> list[bytes]:
    """Return the certificates in the operator's file, each with its boundaries."""
    try:
        certificates = [match[0] for match in _CERTIFICATE.finditer(path.read_bytes())]
        with memory_file(b"\n".join([*certificates, b""])) as alone:
            ssl.create_default_context(cafile=str(alone))
    except (OSError, ValueError) as error:
        problem = f"MIRROR_CA_FILE: {path} is not a PEM file of certificates: {error}"
        raise ConfigurationError(".env", [problem]) from error
    return certificates
