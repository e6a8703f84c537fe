"""Headers of tar archives (POSIX.1-1988 ustar), as LINDI writes them."""

from __future__ import annotations

BLOCK = 512
"""Bytes of a header, and what the sizes of files are rounded up to."""
LONGEST = 100
"""Bytes of the longest name; LINDI 0.4.6 writes no prefix."""


def padded(size: int) -> int:
    """Return a size rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def tar_header(name: str, size: int) -> bytes:
    """Return the header of a regular file, 512 bytes.

    Parameters
    ----------
    name : str
        At most 100 bytes.
    size : int
        Bytes of the file; from 8 GiB on in base 256, as GNU tar and Python's ``tarfile`` have it.
    """
    encoded = name.encode()
    if len(encoded) > LONGEST:
        raise ValueError(f"{name!r} is too long for the name of a file in a tar")
    octal = f"{size:011o}\0".encode()
    length = octal if len(octal) == 12 else b"\x80" + size.to_bytes(11, "big")  # noqa: PLR2004  # the field's width
    fields = [encoded.ljust(LONGEST, b"\0"), b"0000644\0", b"0000000\0", b"0000000\0", length, b"00000000000\0"]
    tail = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(155 + 12)
    total = sum(b"".join(fields)) + 8 * ord(" ") + sum(tail)
    return b"".join(fields) + f"{total:06o}\0 ".encode() + tail
