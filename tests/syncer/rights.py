"""The rights of an ordinary user, for a test that root may run."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION_3 = 0x20080522  # capget(2)
_OVERRIDING = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def ordinary() -> Iterator[None]:
    """
    Enforce file permissions for this thread and the threads that it starts, even for root.

    The process stays the owner of its files, and may change their modes again.
    """
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    held = (
        ctypes.c_uint32 * 6
    )()  # effective, permitted, inheritable: of the first 32 capabilities, then of the others
    _check(_libc.capget(header, held))
    without = (ctypes.c_uint32 * 6)(held[0] & ~_OVERRIDING, *held[1:])
    _check(_libc.capset(header, without))
    try:
        yield
    finally:
        _check(_libc.capset(header, held))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
