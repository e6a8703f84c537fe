"""Lets two folders change their names in one step, where the system can."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
"""Of renameat2 of Linux, and RENAME_SWAP of renamex_np of macOS: the same number."""

_NOT_HERE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM}


def exchange(one: Path, other: Path) -> bool:
    """Let two paths of one file system change places, so that a reader of either never sees nothing.

    Returns
    -------
    bool
        False if this system or file system has no such call; nothing was done then.

    Raises
    ------
    OSError
        If it failed in another way.
    """
    library = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin":
        call = getattr(library, "renamex_np", None)
        failed = call is None or call(first, second, ctypes.c_uint(_RENAME_EXCHANGE))
    else:
        call = getattr(library, "renameat2", None)
        failed = call is None or call(_AT_FDCWD, first, _AT_FDCWD, second, ctypes.c_uint(_RENAME_EXCHANGE))
    if not failed:
        return True
    code = ctypes.get_errno()
    if call is None or code in _NOT_HERE:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))
