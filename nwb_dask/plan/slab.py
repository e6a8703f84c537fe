"""Arrays by their address: which dataset of which version of which file, and how its numbers become values. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import blake2b
from math import prod
from typing import Any, Self

import numpy as np

from nwb_dask.errors import UnsupportedLayoutError, display_url
from nwb_dask.index import ArrayEntry, ElementType, Identity, Url
from nwb_dask.model.series.values import Scale
from nwb_dask.plan.selection import Selection

__all__ = ["Selection", "Slab", "scaled_dtype", "stored_dtype"]

_TOKEN_BYTES = 16
_NARROW_BYTES = 2
_NUMBERS = frozenset({"int", "uint", "float", "complex", "bool", "enum"})


def stored_dtype(element: ElementType) -> np.dtype[Any]:
    """Return the dtype of values that are not scaled: native byte order, bool; text is `str` in an object array."""
    if element.kind == "bool":
        return np.dtype(np.bool_)
    if element.kind == "compound":
        return np.dtype([(name, stored_dtype(one)) for name, one in element.fields])
    if element.kind == "string" or element.dtype is None:
        return np.dtype(object)
    return element.dtype.newbyteorder("=")


def scaled_dtype(element: ElementType, scale: Scale, dtype: np.dtype[Any] | None = None) -> np.dtype[Any]:
    """Return the dtype of the values that `scale` makes of stored numbers.

    What is not scaled keeps the stored type, in native byte order: so an integer series whose ``conversion`` is 1 and
    whose ``offset`` is 0 stays one of integers. Of what is scaled, integers of up to 16 bits (and booleans) become
    float32, which is exact for them, and wider ones float64; float32 and float64 keep their width, and float16, which
    has no room for most conversions, becomes float32 (CF conventions, 8.1). Text and records are never scaled.

    Parameters
    ----------
    element : ElementType
        What is stored.
    scale : Scale
        From stored numbers to values.
    dtype : dtype, optional
        What is wanted instead, of numbers: any floating point type, or one that holds what is stored exactly.

    Raises
    ------
    TypeError
        If the values do not fit into `dtype`.
    """
    stored = stored_dtype(element)
    if element.kind not in _NUMBERS:
        return stored
    if scale.is_identity:
        found = stored
    elif stored.kind in "iub":
        found = np.dtype(np.float32 if stored.itemsize <= _NARROW_BYTES else np.float64)
    else:
        found = np.promote_types(stored, np.float32)
    if dtype is None:
        return found
    wanted = np.dtype(dtype).newbyteorder("=")
    is_exact = np.can_cast(found, wanted, "safe")
    if not is_exact and not (wanted.kind == "f" and found.kind in "iubf") and wanted.kind != "c":
        raise TypeError(f"dtype {wanted} cannot hold values of {found}; choose a floating point type")
    return wanted


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Slab:
    """A whole array by its address: pickles small, and holds nothing that is secret but in `url`.

    Two are equal if they are of the same data of the same version of a file, and make the same values of them. `of`
    makes one of a description.
    """

    url: Url
    """Complete, the query string of a signed URL included, and therefore not shown."""
    name: str
    """The file as the user gave it, made absolute, for messages."""
    identity: Identity
    """The version that was described; another one raises `SourceChangedError` at the read."""
    entry: ArrayEntry
    """The dataset; kept without attributes and without the values of compact data."""
    access: object
    """How to reach the file: `storage.Access`, without secrets."""
    scale: Scale
    dtype: np.dtype[Any]
    """Of the values."""
    token: str = field(init=False)
    """Name of the values, the same in every process; nothing of it is secret."""

    def __post_init__(self) -> None:
        entry = self.entry
        if entry.shape is None or entry.element.kind in {"array", "unsupported"}:
            reason = entry.element.reason or "its values are not an array of numbers, text or records"
            raise UnsupportedLayoutError(f"{entry.path} is not read: {reason}", url=self.name, path=entry.path)
        factors, axis = self.scale.per_channel, self.scale.axis
        if factors is not None and not (axis < len(entry.shape) and factors.shape == entry.shape[axis : axis + 1]):
            raise ValueError(f"{factors.shape} factors along axis {axis} of an array of shape {entry.shape}")
        plain = replace(entry, attributes={}, inline=None)
        object.__setattr__(self, "entry", plain)
        object.__setattr__(self, "token", _token(self))

    @classmethod
    def of(
        cls,
        entry: ArrayEntry,
        *,
        url: Url,
        name: str,
        identity: Identity,
        access: object = None,
        scale: Scale | None = None,
        dtype: np.dtype[Any] | None = None,
    ) -> Self:
        """Return the address of a dataset.

        Parameters
        ----------
        entry : ArrayEntry
            Its description in this version of the file.
        url, name, identity, access
            See the fields.
        scale : Scale, optional
            From stored numbers to values; by default they are the same.
        dtype : dtype, optional
            Of the values; by default what `scaled_dtype` says.

        Raises
        ------
        TypeError
            If the values do not fit into `dtype`.
        UnsupportedLayoutError
            If the dataset has no values, or of a type that is not read.
        """
        known = Scale() if scale is None or entry.element.kind not in _NUMBERS else scale
        return cls(url, name, identity, entry, access, known, scaled_dtype(entry.element, known, dtype))

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.entry.shape or ()

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all values in memory."""
        return prod(self.shape) * self.dtype.itemsize

    def __eq__(self, other: object) -> bool:
        """Whether both are of the same values."""
        return self.token == other.token if isinstance(other, Slab) else NotImplemented

    def __hash__(self) -> int:
        """Return that of the token."""
        return hash(self.token)

    def __repr__(self) -> str:
        return f"Slab({self.entry.path!r} of {self.name!r}, shape={self.shape}, dtype={self.dtype})"


def _token(slab: Slab) -> str:
    entry, scale = slab.entry, slab.scale
    url = display_url(slab.url)
    if slab.url != url and slab.identity.kind in {"size", "mtime"}:
        # Files of one server that only the query string tells apart, and that may be of one size and one second.
        url = slab.url
    factors, dtype = scale.per_channel, entry.element.dtype
    facts = (
        url,
        (slab.identity.kind, slab.identity.value, slab.identity.size),
        _place(entry),
        (entry.shape, entry.chunks, entry.element.kind, None if dtype is None else dtype.str),
        (float(scale.factor).hex(), float(scale.offset).hex(), scale.precision.str),
        None if factors is None else (scale.axis, factors.dtype.str, factors.tobytes()),
        slab.dtype.str,
    )
    return blake2b(repr(facts).encode("utf-8", "surrogatepass"), digest_size=_TOKEN_BYTES).hexdigest()


def _place(entry: ArrayEntry) -> tuple[str, object]:
    """Return where in the file the data are: datasets that several links lead to are one."""
    if entry.layout == "contiguous" and entry.offset is not None:
        return "offset", entry.offset
    if entry.layout == "chunked" and entry.chunk_index is not None and entry.chunk_index.address is not None:
        return "chunks", entry.chunk_index.address
    return "path", entry.path
