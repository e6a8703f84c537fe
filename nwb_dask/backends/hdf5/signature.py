"""Tells whether a file is HDF5, and if it is not, what it looks like."""

from __future__ import annotations

from nwb_dask.backends.protocol import ByteSource
from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEAD_BYTES = 512

_ZARR = "a document of a Zarr store; give the folder that it is in"
_LOOKS: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "an HTML page, such as a server sends instead of the file"),
    (b"<html", "an HTML page, such as a server sends instead of the file"),
    (b"<?xml", "an XML document, such as a server sends with an error"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip-compressed; decompress it first"),
    (b"cdf\x01", "a netCDF-3 file"),
    (b"cdf\x02", "a netCDF-3 file"),
    (b"matlab 5.0", "a MATLAB 5 file"),
    (b"par1", "a Parquet file"),
)


def check_signature(store: ByteSource) -> None:
    """Raise unless an HDF5 superblock begins at 0, 512, 1024, 2048 ... (HDF5 file format, *Superblock*).

    Raises
    ------
    MalformedFileError
        If none does, saying what the file looks like.
    UnsupportedLayoutError
        If it is a Zarr store or JSON references to one.
    """
    size, length = store.size, len(SIGNATURE)
    if size >= length and bytes(store.read([(0, length)])[0]) == SIGNATURE:
        return
    starts = [start for start in (512 << n for n in range(48)) if start + length <= size]
    if any(bytes(part) == SIGNATURE for part in store.read([(start, start + length) for start in starts])):
        return
    raise _error(bytes(store.read([(0, min(size, _HEAD_BYTES))])[0])).at(url=store.source.url)


def _error(head: bytes) -> NWBDaskError:
    if not head:
        return MalformedFileError("not an HDF5 file: it is empty")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, name in _LOOKS:
        if start.startswith(magic):
            return MalformedFileError(f"not an HDF5 file: it looks like {name}")
    if start.startswith(b"{"):
        if b"zarr_format" in head or b"zarr_consolidated" in head:
            return UnsupportedLayoutError(f"not an HDF5 file: it looks like {_ZARR}")
        if b'"refs"' in head:
            looks = "references to chunks (LINDI, kerchunk); give it a name that ends in .json"
            return UnsupportedLayoutError(f"not an HDF5 file: it looks like {looks}")
        return MalformedFileError("not an HDF5 file: it looks like JSON")
    if not any(head):
        return MalformedFileError("not an HDF5 file: it begins with zeros, as after an interrupted copy")
    if SIGNATURE.startswith(head):
        return MalformedFileError(f"truncated: an HDF5 file of {len(head)} bytes")
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)  # noqa: PLR2004  # ASCII
    looks = f"text ({head[:40].decode(errors='replace')!r}...)" if printable == len(head) else "other binary data"
    return MalformedFileError(f"not an HDF5 file: it looks like {looks}")
