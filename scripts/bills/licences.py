"""Licences: their SPDX identifiers, and the ones that dependencies may have."""

import re
from importlib.metadata import PackageMetadata

from debian.copyright import Copyright
from license_expression import ExpressionError, get_spdx_licensing

_SPDX = get_spdx_licensing()

# They allow use, modification and redistribution, and require nothing of operators who only run the mirror. As MPL-2.0,
# the LGPL asks of those who pass on an image that the library stays replaceable, which a Python package is.
ALLOWED = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "LGPL-3.0-or-later", "MIT", "MPL-2.0"),
        "LGPL-3.0-only",
        *("PSF-2.0", "Unlicense", "Zlib"),
    }
)

# Texts from before PEP 639. "BSD License" alone is ambiguous, so such packages are in _LOOKED_UP.
_WORDS = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd-0-clause": "0BSD",
    "isc license": "ISC",
    "lgplv3+": "LGPL-3.0-or-later",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
}
_LOOKED_UP = {"cronsim": "BSD-3-Clause", "jinja2": "BSD-3-Clause"}

# Libraries bundled in wheels, whose metadata does not name them.
OF_BUNDLED = {
    "libcurl": "curl",
    "openssl": "Apache-2.0",
    "zlib": "Zlib",
    "brotli": "MIT",
    "libpsl": "MIT",
    "libssh2": "BSD-3-Clause",
    "nghttp2": "MIT",
    "nghttp3": "MIT",
    "ngtcp2": "MIT",
    "mit-krb5": "MIT",
    "libidn2": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "libunistring": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "libsfparse": "MIT",
    "cyrus-sasl": "BSD-3-Clause-Attribution",
    "keyutils": "LGPL-2.1-or-later",
    "libpq": "PostgreSQL",
    "libxcrypt": "LGPL-2.1-or-later",
    "openldap": "OLDAP-2.8",
}

# The projects of shared libraries with other names.
BUNDLED_FILES = {
    "libbrotlicommon": "brotli",
    "libbrotlidec": "brotli",
    "libcom_err": "mit-krb5",
    "libcrypt": "libxcrypt",
    "libcrypto": "openssl",
    "libgssapi_krb5": "mit-krb5",
    "libk5crypto": "mit-krb5",
    "libkeyutils": "keyutils",
    "libkrb5": "mit-krb5",
    "libkrb5support": "mit-krb5",
    "liblber": "openldap",
    "libldap": "openldap",
    "libnghttp2": "nghttp2",
    "libnghttp3": "nghttp3",
    "libngtcp2": "ngtcp2",
    "libngtcp2_crypto_ossl": "ngtcp2",
    "libsasl2": "cyrus-sasl",
    "libssl": "openssl",
}


def of_distribution(metadata: PackageMetadata) -> str:
    """Return a Python package's licence as an SPDX expression, or else as its own text; may be empty."""
    if looked_up := _LOOKED_UP.get(str(metadata["Name"]).lower()):
        return looked_up
    classified = [
        line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier", []) if line.startswith("License :: ")
    ]
    said = [
        *(metadata.get_all(key, [""])[0] for key in ("License-Expression", "License")),
        *classified,
    ]  # PEP 639 first
    words = [_WORDS.get(word.strip().lower(), word.strip()) for word in said if word and "\n" not in word.strip()]
    return next((word for word in words if is_expression(word)), next(iter(words), ""))


def of_npm(said: str) -> str:
    """Return an npm package's licence as an SPDX expression, or else as its own text."""
    return _WORDS.get(said.lower(), said)


def of_debian(copyright_file: str) -> str:
    """Return the licences in a package's ``debian/copyright``; empty if the file has no standard format."""
    lines = copyright_file.splitlines()
    if not lines or not re.match(
        r"Format: *https?://www\.debian\.org/doc/packaging-manuals/copyright-format", lines[0]
    ):
        return ""
    parsed = Copyright(lines, strict=False)
    named = {str(paragraph["License"]).splitlines()[0] for paragraph in parsed.all_files_paragraphs()}
    return ", ".join(sorted(named))


def is_expression(text: str) -> bool:
    """Return whether a text is an SPDX expression of known licences."""
    try:
        return _SPDX.parse(text, validate=True) is not None
    except ExpressionError:
        return False


def is_allowed(text: str) -> bool:
    """Return whether an expression can be satisfied with allowed licences: one side of an OR, both sides of an AND."""
    if not is_expression(text):
        return False
    parsed = _SPDX.parse(text)
    truth = {symbol: _SPDX.TRUE if symbol.key in ALLOWED else _SPDX.FALSE for symbol in parsed.symbols}
    return bool(parsed.subs(truth).simplify() == _SPDX.TRUE)
