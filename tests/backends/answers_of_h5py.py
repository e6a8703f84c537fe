"""What h5py says of a file: its low level walks through the groups; knows nothing of the own parser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5l, h5o, h5p, h5r, h5s, h5t

from tests.backends.answers import Answer, Answers, At, Refusal, told, told_scalar
from tests.backends.answers_of_types import type_of
from tests.backends.oracle import Array, selected

ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError, AttributeError)
"""What h5py raises about damaged files."""
LAYOUTS = {h5d.COMPACT: "compact", h5d.CONTIGUOUS: "contiguous", h5d.CHUNKED: "chunked", h5d.VIRTUAL: "virtual"}
_UNLIMITED = {h5s.UNLIMITED, (1 << 32) - 1, (1 << 16) - 1}
Rows = Callable[[str, int], Sequence[tuple[int, int]]]
"""Path and number of rows in, half-open rows to read out."""


def ask_h5py(path: Path, *, max_bytes: int, rows: Rows) -> Answers:
    """Return the answers about a file; raises what h5py raises if it cannot be opened.

    Parameters
    ----------
    path : Path
        The file.
    max_bytes : int
        Of larger datasets only the rows are read.
    rows : callable
        Says which.
    """
    properties = h5p.create(h5p.FILE_ACCESS)
    fid = h5f.open(str(path).encode(), h5f.ACC_RDONLY, properties)
    with h5py.File(fid) as file:
        walk = _Walk(file, max_bytes, rows)
        walk.run()
        return walk.answers


class _Walk:
    def __init__(self, file: h5py.File, max_bytes: int, rows: Rows) -> None:
        self.answers = Answers()
        self._file = file
        self._fid = file.id
        self._max_bytes = max_bytes
        self._rows = rows

    def run(self) -> None:
        root = h5o.open(self._fid, b"/")
        self.answers.root = h5o.get_info(root).addr
        seen = {self.answers.root}
        # Depth first, as the file iterates; a group with several hard links is met once.
        stack = [("/", root)]
        while stack:
            path, gid = stack.pop()
            below = []
            for name, oid in self._members(path, gid):
                where = f"{path.rstrip('/')}/{name}"
                if isinstance(oid, h5d.DatasetID):
                    self._array(where, oid)
                elif isinstance(oid, h5g.GroupID):
                    address = h5o.get_info(oid).addr
                    if address not in seen:
                        below.append((where, oid))
                else:
                    self.answers.found[where] = ("datatype",)
            # Marked when met in the walk, not when listed: a sister may hold it, and comes first.
            stack.extend(reversed(below))
            while stack and h5o.get_info(stack[-1][1]).addr in seen:
                stack.pop()
            if stack:
                seen.add(h5o.get_info(stack[-1][1]).addr)

    def _members(self, path: str, gid: h5g.GroupID) -> Iterator[tuple[str, Any]]:
        """Note a group, and yield its members that are in this file: groups only behind hard links."""
        address = h5o.get_info(gid).addr
        try:
            names = _names(gid)
        except ERRORS as exc:
            self.answers.found[path] = Refusal(str(exc))
            return
        into = self.answers.links.setdefault(address, {})
        opened: list[tuple[str, Any]] = []
        for stored in names:
            name = _text(stored)
            where = f"{path.rstrip('/')}/{name}"
            try:
                kind = gid.links.get_info(stored).type
                if kind == h5l.TYPE_SOFT:
                    target = _text(gid.links.get_val(stored))
                    self.answers.found[f"{where}>"] = ("soft", target)
                    into[name] = target
                elif kind == h5l.TYPE_EXTERNAL:
                    value = tuple(_text(part) for part in gid.links.get_val(stored))
                    self.answers.found[f"{where}>"] = ("external", *value)
                    continue
                oid = h5o.open(gid, stored)
                if kind == h5l.TYPE_HARD:
                    into[name] = h5o.get_info(oid).addr
                elif isinstance(oid, h5g.GroupID) or self._leads_out(oid):
                    continue
            except ERRORS as exc:
                self.answers.found[where] = Refusal(str(exc))
                continue
            opened.append((name, oid))
        self.answers.found[path] = ("group", tuple(map(_text, names)))
        self._attributes(path, gid)
        yield from opened

    def _leads_out(self, oid: Any) -> bool:
        """Return whether an object is in another file: a soft link may lead through an external one."""
        return bool(h5f.get_name(h5py.h5i.get_file_id(oid)) != h5f.get_name(self._fid))

    def _attributes(self, path: str, oid: Any) -> None:
        names: list[bytes] = []
        try:
            h5a.iterate(oid, names.append)
        except ERRORS as exc:
            self.answers.found[f"{path}@"] = Refusal(str(exc))
        for stored in names:
            key = f"{path}@{_text(stored)}"
            try:
                self.answers.found[key] = self._attribute(h5a.open(oid, stored))
            except ERRORS as exc:
                self.answers.found[key] = Refusal(str(exc))

    def _attribute(self, attribute: h5a.AttrID) -> Answer:
        space, tid = attribute.get_space(), attribute.get_type()
        if space.get_simple_extent_type() == h5s.NULL:
            return ("null",)
        shape = tuple(space.get_simple_extent_dims())
        kind = type_of(tid)[0]
        if kind not in {"string", "reference", "int", "uint", "float", "complex", "bool", "enum"}:
            return ("other", kind)
        dtype = tid.dtype
        if prod(shape) * max(tid.get_size(), 8) > self._max_bytes:
            raise ValueError("too large")
        values = np.zeros(shape, dtype)
        if values.size:
            attribute.read(values, mtype=h5t.py_create(dtype))
        if kind == "string":
            return _nested(values, _decoded)
        if kind == "reference":
            return _nested(values, self._reference)
        if shape or (values.dtype.kind == "f" and values.dtype.newbyteorder("=") != np.float64):
            return told(values)
        return told_scalar(values[()].item())

    def _reference(self, reference: Any) -> At:
        if not isinstance(reference, h5r.Reference) or not reference:
            return At(0)
        try:
            return At(h5o.get_info(h5r.dereference(reference, self._fid)).addr)
        except ERRORS:
            return At(-1)

    def _array(self, path: str, did: h5d.DatasetID) -> None:
        found = self.answers.found
        try:
            found[path] = _described(did)
        except ERRORS as exc:
            found[path] = Refusal(str(exc))
            return
        self._attributes(path, did)
        dataset = h5py.Dataset(did)
        if dataset.chunks is not None:
            try:
                found[f"{path}#chunks"] = _chunks(dataset)
            except ERRORS as exc:
                found[f"{path}#chunks"] = Refusal(str(exc))
        if dataset.shape is None:
            return
        n_bytes = prod(dataset.shape) * did.get_type().get_size()
        if n_bytes <= self._max_bytes:
            self._values(f"{path}#values", dataset, None)
        if dataset.shape and dataset.shape[0] > 0 and prod(dataset.shape[1:]) * did.get_type().get_size() < 1 << 20:
            self._values(f"{path}#rows", dataset, self._rows(path, dataset.shape[0]))

    def _values(self, key: str, dataset: h5py.Dataset, spans: Sequence[tuple[int, int]] | None) -> None:
        try:
            stored = dataset[()] if spans is None else np.concatenate([dataset[start:stop] for start, stop in spans])
            if not isinstance(stored, np.ndarray):
                scalar = np.empty((), dataset.dtype)
                scalar[()] = stored
                stored = scalar
            self.answers.found[key] = told(self._converted(stored, dataset.dtype), self._item)
        except ERRORS as exc:
            self.answers.found[key] = Refusal(f"{type(exc).__name__}: {exc}")

    def _item(self, one: Any) -> Answer:
        return self._reference(one) if isinstance(one, h5r.Reference) else one or At(0)

    def _converted(self, stored: Array, dtype: np.dtype[Any]) -> Array:
        """Return values with numbers in native byte order, regions as rows, sequences as what they are."""
        if dtype.names is not None:
            fields = {name: self._converted(stored[name], dtype[name]) for name in dtype.names}
            made = np.empty(stored.shape, [(name, one.dtype, one.shape[stored.ndim :]) for name, one in fields.items()])
            for name, one in fields.items():
                made[name] = one
            return made
        if h5py.check_ref_dtype(dtype) is h5py.RegionReference:
            out = np.empty(stored.size, object)
            for i, one in enumerate(stored.reshape(-1)):
                out[i] = selected(self._file, one) if one else None
            return out.reshape(stored.shape)
        base = h5py.check_vlen_dtype(dtype)
        if base is not None and h5py.check_string_dtype(dtype) is None:
            out = np.empty(stored.size, object)
            for i, one in enumerate(stored.reshape(-1)):
                # h5py 3.16 hands out the bytes of other byte orders as they are, and calls them native.
                out[i] = np.asarray(one).view(base).astype(base.newbyteorder("="))
            return out.reshape(stored.shape)
        return stored


def _described(did: h5d.DatasetID) -> Answer:
    space, properties = did.get_space(), did.get_create_plist()
    shape = None if space.get_simple_extent_type() == h5s.NULL else tuple(space.get_simple_extent_dims())
    layout = LAYOUTS[properties.get_layout()]
    if layout == "contiguous" and properties.get_external_count():
        layout = "external"
    chunks: Answer = None
    filters: Answer = ()
    if layout == "chunked":
        # Where lengths have four bytes libhdf5 2.0 does not recognise its own mark of what is without bound.
        most = tuple(None if n in _UNLIMITED else n for n in space.get_simple_extent_dims(True))  # no name
        chunks = (tuple(properties.get_chunk()), most)
        steps = [properties.get_filter(i) for i in range(properties.get_nfilters())]
        filters = tuple((step[0], tuple(step[2])) for step in steps)
    return ("array", type_of(did.get_type()), shape, layout, chunks, filters)


def _chunks(dataset: h5py.Dataset) -> Answer:
    """Return number, offset, size and mask of each chunk; without numbers where libhdf5 2.0 says them wrong."""
    shape, chunks = dataset.shape, dataset.chunks
    counts = tuple(-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True))
    found = []

    def note(chunk: h5d.StoreInfo) -> None:
        found.append((tuple(chunk.chunk_offset), chunk.byte_offset, chunk.size, chunk.filter_mask))

    if dataset.id.get_space().get_simple_extent_npoints():
        dataset.id.chunk_iter(note)
    inside = [all(at < length for at, length in zip(where, shape, strict=True)) for where, *_ in found]
    if misnumbers(dataset):
        # Whether they are inside is not known either.
        return tuple(sorted((None, *rest) for _, *rest in found))
    return tuple(
        sorted(
            (int(np.ravel_multi_index([at // n for at, n in zip(where, chunks, strict=True)], counts)), *rest)
            for is_inside, (where, *rest) in zip(inside, found, strict=True)
            # A damaged index may list others, which nobody reads.
            if is_inside
        )
    )


def misnumbers(dataset: h5py.Dataset) -> bool:
    """Return whether libhdf5 2.0 may say wrong where in the shape a chunk is.

    It does for extensible arrays whose axis without bound is not the first; nothing in h5py tells what kind an index
    is, so that this is true of all that may be one. The values say then whether chunks are in their places.
    """
    growing = [axis for axis, length in enumerate(dataset.maxshape) if length is None]
    return len(growing) == 1 and growing != [0]


def _names(gid: h5g.GroupID) -> list[bytes]:
    order = gid.get_create_plist().get_link_creation_order() & h5p.CRT_ORDER_TRACKED
    names: list[bytes] = []
    if gid.get_num_objs():
        gid.links.iterate(names.append, idx_type=h5py.h5.INDEX_CRT_ORDER if order else h5py.h5.INDEX_NAME)
    return names


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")


def _decoded(item: Any) -> str:
    data = item if isinstance(item, bytes) else str(item).encode() if isinstance(item, str) else b""
    return data.decode()


def _nested(values: Array, convert: Callable[[Any], Answer]) -> Answer:
    def made(items: Any) -> Answer:
        return tuple([made(item) for item in items]) if isinstance(items, list) else convert(items)

    return made(values.tolist())
