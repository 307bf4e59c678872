"""A document root as the syncer publishes it, with other mirrors' trees."""

import gzip
import json
import os
from dataclasses import dataclass
from pathlib import Path

# What a URL, a shell or nginx's own rewriting may trip over.
ODD_NAMES = (
    "Py YAML Fixtures-1.0.tar.gz",
    "a+b-1.0.whl",
    "100%.zip",
    "%25.zip",
    "%zz.zip",
    "grün-1.0.zip",
    "what?.zip",
    "c#-1.0.zip",
    "semi;colon=1.zip",
    "'single' \"double\".zip",
    "back\\slash.zip",
    "a&b=c.zip",
    "[1]{2}$3.zip",
)

# PyPI's long path of a file: 64 hexadecimal digits of a blake2b-256.
DIGEST = "ab" + "cd" + "0123456789" * 6
OTHER_DIGEST = "ab" + "ef" + "9876543210" * 6

# Later publications have later times; whole seconds, as nginx's ETag counts.
PUBLISHED = 1_790_000_000


def long_path(digest: str, name: str) -> str:
    """Return a file's path as PyPI has it."""
    return f"{digest[:2]}/{digest[2:4]}/{digest[4:]}/{name}"


@dataclass(frozen=True)
class Tree:
    """The directory that is nginx's document root."""

    root: Path

    @property
    def web(self) -> Path:
        """What we publish."""
        return self.root / "pypi/web"

    def write(self, path: str, content: bytes, *, mtime: int = PUBLISHED) -> None:
        """Put a file where the path says, readable by all, under its name only when it is whole."""
        target = self.root / path
        for directory in reversed(target.relative_to(self.root).parents):
            (self.root / directory).mkdir(mode=0o755, exist_ok=True)
            (self.root / directory).chmod(0o755)
        temporary = target.with_name("temporary")
        temporary.write_bytes(content)
        temporary.chmod(0o644)
        os.utime(temporary, (mtime, mtime))
        temporary.rename(target)

    def publish(self, project: str, text: str, *, mtime: int = PUBLISHED, twins: bool = True) -> None:
        """Write a project's page, or the list of projects for an empty name, in both formats."""
        directory = f"pypi/web/simple/{project}/".replace("//", "/")
        for offset, name in enumerate(("index.html", "index.v1_json")):
            content = f"{name}: {text}\n".encode() * 10
            if twins:
                self.write(f"{directory}{name}.gz", gzip.compress(content, mtime=0), mtime=mtime + offset)
            self.write(f"{directory}{name}", content, mtime=mtime + offset)

    def document(self, project: str, said: dict[str, object], *, mtime: int = PUBLISHED, twins: bool = True) -> None:
        """Write a project's legacy document."""
        content = json.dumps(said, separators=(",", ":")).encode()
        if twins:
            self.write(f"pypi/web/pypi/{project}/json.gz", gzip.compress(content, mtime=0), mtime=mtime)
        self.write(f"pypi/web/pypi/{project}/json", content, mtime=mtime)


def plant(root: Path) -> Tree:
    """Make a small mirror of everything that nginx has to serve or to hide."""
    tree = Tree(root)
    tree.publish("", "list of projects")
    tree.publish("foo-bar", "page of foo-bar")
    tree.publish("tiny", "page without twins", twins=False)

    for name in ("foo_bar-1.0.tar.gz", *ODD_NAMES):
        tree.write(f"pypi/web/packages/ab/{name}", f"content of {name}\n".encode())
    tree.write("pypi/web/packages/ab/foo_bar-1.0.tar.gz.metadata", b"Metadata-Version: 2.4\n")
    tree.write("pypi/web/packages/ab/foo.tar", b"not compressed\n")
    tree.write("pypi/web/packages/ab/foo.tar.gz", b"compressed\n")
    tree.write(
        f"pypi/web/packages/{long_path(OTHER_DIGEST, 'foo_bar-1.0.tar.gz')}", b"other content, same short name\n"
    )

    tree.document("foo-bar", {"last_serial": 25_000_000, "info": {}})
    tree.document("tiny", {"last_serial": 7}, twins=False)
    tree.write("pypi/web/status.json", b'{"serial":1}\n')
    tree.write("pypi/.mirror-id", b"secret\n")
    tree.write("pypi/.staging/half.whl", b"secret\n")
    tree.write("pypi/.withdrawn/evil.whl", b"secret\n")
    tree.write("pypi/web/simple/.temporary", b"secret\n")
    tree.write("pypi/web/packages/ab/.temporary", b"secret\n")

    tree.write("centos/.treeinfo", b"[general]\n")
    tree.write("centos/images/boot iso+1.iso", b"\x00" * 4096)
    tree.write("ubuntu/index.html", b"<p>Ubuntu\n")
    return tree
