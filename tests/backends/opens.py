"""Which files of a folder anyone opens, as the kernel says: whoever does it, libhdf5 included."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_OPENED = 0x20
_HEAD = struct.Struct("iIII")


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """Give a list that has the names of the files in `folder` that were opened, once the block has ended."""
    if sys.platform != "linux":
        pytest.skip("inotify is of Linux")
    library = ctypes.CDLL(None)
    fd = library.inotify_init1(os.O_NONBLOCK)
    assert fd >= 0
    assert library.inotify_add_watch(fd, os.fsencode(folder), _OPENED) > 0
    names: list[str] = []
    try:
        yield names
        names += sorted({name for name in _events(fd) if name})
    finally:
        os.close(fd)


def _events(fd: int) -> Iterator[str]:
    try:
        data = os.read(fd, 1 << 16)
    except BlockingIOError:
        return
    at = 0
    while at < len(data):
        length = _HEAD.unpack_from(data, at)[3]
        yield data[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0").decode()
        at += _HEAD.size + length
