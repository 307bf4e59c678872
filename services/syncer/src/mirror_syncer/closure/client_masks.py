"""Sets of machines, and of the clients on them, as bits."""

from collections.abc import Iterator


class ClientMasks:
    """
    The two ways to write down machines: a bit each, and three bits each, one for every client of ``Compatibility``.

    Args:
        count: of the machines; None where ``[machines]`` names none, so that a release is for all of them.
    """

    def __init__(self, count: int | None) -> None:
        self._count = count

    def clients(self, machines: int) -> int | None:
        """Return the clients on some machines; None: all."""
        count = self._count
        return None if count is None else machines | machines << count | machines << 2 * count

    def installers(self, machines: int) -> int:
        """Return pip and uv on some machines, without pip on first patch releases."""
        count = self._count
        if count is None:
            return 0b11 if machines else 0
        return machines | machines << count

    def machines(self, clients: int, *, everyone: int) -> int:
        """Return the machines of some clients."""
        count = self._count
        if count is None:
            return everyone if clients else 0
        return (clients | clients >> count | clients >> 2 * count) & everyone


def bits(mask: int) -> Iterator[int]:
    """Yield the machines of a set, the lowest first."""
    while mask:
        yield mask & -mask
        mask &= mask - 1
