"""What is in one file, and in which form each dataset is written."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from nwb_dask.backends import File
from nwb_dask.backends.zarr.meaning import source_of
from nwb_dask.errors import NWBDaskError, OutputError, SourceAccessError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, ElementType, FileIndex, Placement, ZarrForm, join
from nwb_dask.read.small_values import STORAGE_ERRORS, read_small
from nwb_dask.references.addresses import Stated
from nwb_dask.references.arrays import ZarrArray, split
from nwb_dask.references.attributes import Json
from nwb_dask.references.codecs import JSON_OBJECTS, Codec, codecs_of
from nwb_dask.references.elements import (
    NUMBERS,
    OBJECTS,
    Point,
    fields_of,
    has_values,
    inline_dtype,
    number_bytes,
    objects_as_json,
    stored_dtype,
    text_of,
)
from nwb_dask.references.report import LeftOut

INLINE_ELEMENTS = 1000
"""Fewer stand in the document, as with LINDI."""
_INLINE_BYTES = 1 << 20
"""Of elements that no reader would decode from the file."""
_MAX_OBJECTS = 10_000_000
_COMPRESSED_BYTES = 1 << 10
"""Longer contents of the document are compressed."""
_ZLIB: Codec = {"id": "zlib", "level": 6}

Stored: TypeAlias = ArrayEntry | ZarrForm | NWBDaskError
"""How the bytes of an array are to be read, or why that cannot be told."""

Form = Literal["inline", "refer", "link", "leave"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a format has a place for."""

    has_objects: bool
    """Text, references and compounds, and links to arrays that cannot be referred to: what LINDI added to Zarr."""
    max_chunks: int | None
    """Arrays of more are linked; None for no bound."""
    max_bytes: int
    """Of a chunk into which data that lie in one piece are cut."""
    has_scalars: bool
    """Whether an array may have no dimension; of LINDI it has one of length 1."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is written of one file."""

    index: FileIndex
    arrays: Mapping[str, ZarrArray]
    """By path, in the order of the file."""
    left_out: tuple[LeftOut, ...]
    """Arrays, and what could not be described."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """In which form a dataset is written, and why not in another."""

    form: Form
    reason: str = ""
    codecs: tuple[Codec, ...] = ()
    is_unread: bool = False
    form_there: ZarrForm | None = None
    """How chunks are stored that are those of a Zarr array."""


def gather(file: File, group: str | None, rules: Rules, stated: Stated, *, file_bytes: int | None) -> Contents:
    """Return everything that is written of a file, with as few requests as its structure is deep.

    Parameters
    ----------
    file : File
        Open.
    group : str or None
        The group that is written, without the groups in it; None for all of the file.
    rules : Rules
        What the format can hold.
    stated : Stated
        What is written for the files that chunks are in.
    file_bytes : int or None
        See `arrays.split`.
    """
    index = file.index(group or "/", recursive=group is None, groups=group is None, prepare=True)
    if group is not None:
        index = _alone(index, group)
    index, unnamed = _nameable(index)
    stored = {path: _stored(file, entry) for path, entry in index.arrays.items()}
    described = {path: _resolved(entry, stored[path]) for path, entry in index.arrays.items()}
    chosen = {path: choose(entry, rules, stored[path]) for path, entry in described.items()}
    entries = {form: [described[path] for path, one in chosen.items() if one.form == form] for form in _FORMS}
    left_out = [LeftOut(path, "Zarr has another meaning for its name") for path in unnamed]
    # A link that leads nowhere is written as it is, where links are.
    links = {join(path, name) for path, group in index.groups.items() for name in group.links if rules.has_objects}
    left_out += [LeftOut(path, why, is_unread=True) for path, why in index.problems.items() if path not in links]
    arrays: dict[str, ZarrArray] = {}
    for entry, found in zip(entries["refer"], file.locate(entries["refer"]), strict=True):
        array = _referred(entry, chosen[entry.path], found, rules)
        reason = array if isinstance(array, LeftOut) else _unstated(array, stated)
        if isinstance(array, LeftOut) or reason is not None:
            left_out += [reason] if reason is not None else []
            continue
        # Other files than the source are of a length that is not known here.
        is_own = array.placement is not None and array.placement.urls == (file.source.url,)
        most = file_bytes if is_own or file_bytes is None else 0
        arrays[entry.path] = split(array, max_bytes=rules.max_bytes, file_bytes=most)
    values, problems = read_small(file, entries["inline"])
    left_out += [LeftOut(path, reason, is_unread=True) for path, reason in problems.items()]
    refer = pointing(index)
    for path, found_values in values.items():
        arrays[path] = _inlined(described[path], found_values, rules, refer)
    for entry in entries["link"]:
        array = linked(entry)
        unstated = _unstated(array, stated)
        if unstated is None:
            arrays[entry.path] = array
        else:
            left_out.append(unstated)
    left_out += [
        LeftOut(entry.path, chosen[entry.path].reason, chosen[entry.path].is_unread) for entry in entries["leave"]
    ]
    ordered = {path: arrays[path] for path in index.arrays if path in arrays}
    return Contents(index, ordered, tuple(sorted(left_out, key=lambda one: one.path)))


def _stored(file: File, entry: ArrayEntry) -> Stored:
    try:
        return file.stored(entry)
    except STORAGE_ERRORS as error:
        if not isinstance(error, SourceAccessError):
            raise
        return error
    except NWBDaskError as error:
        return error


def _resolved(entry: ArrayEntry, stored: Stored) -> ArrayEntry:
    """Return an array as the dataset with its values has it, which may be in another file."""
    if not isinstance(stored, ArrayEntry) or stored.home is None:
        return entry
    return replace(stored, path=entry.path, attributes=entry.attributes)


def _unstated(array: ZarrArray, stated: Stated) -> LeftOut | None:
    """Return why an array is left out: a file that it is in cannot be named in the format."""
    home = array.entry.home if array.is_linked else None
    urls = () if array.placement is None else array.placement.urls
    try:
        for url in (*urls, *([home.url] if home is not None else [])):
            stated.of(url)
    except OutputError as error:
        return LeftOut(array.entry.path, error.message)
    return None


def _alone(index: FileIndex, path: str) -> FileIndex:
    """Return the index of a group without the groups in it."""
    group = index.groups.get(path)
    if group is None:
        raise UnsupportedLayoutError(f"{path} is a dataset; group= names a group", path=path)
    return replace(index, groups={path: group}, same={})


def _nameable(index: FileIndex) -> tuple[FileIndex, list[str]]:
    """Return the index of what can be named in Zarr, and the paths of what cannot."""
    paths = [join(path, name) for path, group in index.groups.items() for name in group.members if not is_name(name)]
    if not paths:
        return index, []

    def kept(path: str) -> bool:
        return all(map(is_name, path.strip("/").split("/"))) or path == "/"

    groups = {
        path: replace(group, members=tuple(filter(is_name, group.members)))
        for path, group in index.groups.items()
        if kept(path)
    }
    arrays = {path: entry for path, entry in index.arrays.items() if kept(path)}
    same = {path: other for path, other in index.same.items() if kept(path) and kept(other)}
    return replace(index, groups=groups, arrays=arrays, same=same), [
        path for path in paths if kept(path.rpartition("/")[0] or "/")
    ]


def is_name(name: str) -> bool:
    """Return whether Zarr takes a name for that of a member."""
    return name not in _NO_NAMES and name.isprintable() and "\\" not in name


_NO_NAMES = frozenset({"", ".", "..", ".zgroup", ".zattrs", ".zarray", ".zmetadata", "zarr.json"})
_FORMS: tuple[Form, ...] = ("inline", "refer", "link", "leave")


def pointing(index: FileIndex) -> Point:
    """Return what stands for a reference to the object at a path, as LINDI and hdmf-zarr have it.

    References
    ----------
    hdmf-zarr, *Storing object references*; of LINDI ``conversion/h5_ref_to_zarr_attr.py``.
    """
    root = index.groups.get("/")
    own = None if root is None else _object_id(root.attributes)

    def point(path: str | None) -> Json:
        if path is not None and source_of(path.split("/")[1]) is not None:
            # It leads into another store.
            path = None
        target = None if path is None else index.groups.get(index.same.get(path, path)) or index.arrays.get(path)
        name = None if target is None else _object_id(target.attributes)
        return {"_REFERENCE": {"object_id": name, "path": path, "source": ".", "source_object_id": own}}

    return point


def _object_id(attributes: Mapping[str, object]) -> str | None:
    found = attributes.get("object_id")
    return found if isinstance(found, str) else None


def choose(entry: ArrayEntry, rules: Rules, stored: Stored) -> _Chosen:
    """Return in which form a dataset is written.

    Parameters
    ----------
    entry : ArrayEntry
        The dataset.
    rules : Rules
        What the format can hold.
    stored : ArrayEntry, ZarrForm or NWBDaskError
        How its bytes are to be read, or why that cannot be told; see `File.stored`.
    """
    can_link = rules.has_objects and isinstance(stored, ArrayEntry)
    element, shape = entry.element, entry.shape
    if shape is None:
        return _Chosen("leave", "Zarr has no array without a shape (a null dataspace)")
    if element.kind == "unsupported":
        return _Chosen("leave", element.reason, is_unread=True)
    if entry.layout in ("external", "virtual"):
        return _Chosen("leave", f"its data are in other files ({entry.layout} storage), which are not followed")
    if not rules.has_objects and element.kind not in NUMBERS:
        return _Chosen("leave", f"the format holds numbers, and these are {element.kind}")
    n, dtype = prod(shape), stored_dtype(element)
    if isinstance(stored, NWBDaskError) and not isinstance(stored, UnsupportedLayoutError):
        return _Chosen("leave", stored.message, is_unread=True)
    if n and can_link and _is_many(entry, rules):
        return _Chosen("link")
    if n < INLINE_ELEMENTS and n and has_values(element):
        return _Chosen("inline")
    if not n and has_values(element) and dtype is None:
        return _Chosen("refer")
    try:
        return _referable(entry, stored)
    except UnsupportedLayoutError as error:
        if not n and has_values(element):
            # Nothing was encoded.
            return _Chosen("refer")
        return _Chosen("inline" if _is_short(element, n) else "link" if can_link else "leave", error.message)


def _referable(entry: ArrayEntry, stored: Stored) -> _Chosen:
    """Return that a dataset is referred to, with the codecs of its chunks.

    Raises
    ------
    UnsupportedLayoutError
        If it cannot be.
    """
    dtype = stored_dtype(entry.element)
    if dtype is None:
        raise UnsupportedLayoutError(f"elements of {entry.element.kind} in this format are not read by Zarr")
    if isinstance(stored, ZarrForm):
        return _Chosen("refer", codecs=tuple([_options(step) for step in stored.codecs]), form_there=stored)
    if isinstance(stored, UnsupportedLayoutError):
        raise stored
    return _Chosen("refer", codecs=codecs_of(entry.filters, item_bytes=dtype.itemsize))


def _options(step: Mapping[str, object]) -> Codec:
    return cast("Codec", step)  # what its JSON says


def _is_short(element: ElementType, n: int) -> bool:
    """Return whether values may stand in the document that nothing can refer to."""
    is_object = element.kind in {"string", "reference", "compound"}
    return has_values(element) and (n * max(element.size, 1) <= _INLINE_BYTES or (is_object and n <= _MAX_OBJECTS))


def _is_many(entry: ArrayEntry, rules: Rules) -> bool:
    if rules.max_chunks is None or not entry.chunks or min(entry.chunks) < 1:
        return False
    counts = [-(-length // chunk) for length, chunk in zip(entry.shape or (), entry.chunks, strict=True)]
    return prod(counts) > rules.max_chunks


def _referred(entry: ArrayEntry, chosen: _Chosen, found: Placement | NWBDaskError, rules: Rules) -> ZarrArray | LeftOut:
    """Return an array whose chunks are in the file."""
    if isinstance(found, NWBDaskError):
        return LeftOut(entry.path, found.message, is_unread=True)
    shape, chunks = entry.shape or (), entry.chunks
    skipped = (1 << len(entry.filters)) - 1
    if bool((found.manifest.masks & np.uint32(skipped)).any()):
        if rules.has_objects:
            return linked(entry)
        return LeftOut(entry.path, "some of its chunks are stored without its filters, which Zarr cannot say")
    dtype = stored_dtype(entry.element) or OBJECTS
    codecs = (JSON_OBJECTS,) if dtype == OBJECTS else chosen.codecs
    if chunks is None:
        chunks = tuple([max(length, 1) for length in shape]) if prod(shape) else (1,) * len(shape)
    form = chosen.form_there
    fill = entry.fill if dtype != OBJECTS else None
    if form is not None:
        as_stored = dtype.newbyteorder(form.byte_order)
        fill = None if fill is None else np.frombuffer(fill, dtype).astype(as_stored).tobytes()
        dtype = as_stored
        return ZarrArray(entry, shape, form.chunks, dtype, codecs, form.order, fill, found)
    return ZarrArray(entry, shape, chunks, dtype, codecs, fill=fill, placement=found)


def linked(entry: ArrayEntry) -> ZarrArray:
    """Return an array that readers open in the file itself."""
    element, shape = entry.element, entry.shape or ()
    dtype = stored_dtype(element) or (element.dtype if element.kind in NUMBERS else None)
    chunks = entry.chunks or tuple([max(length, 1) for length in shape])
    codecs: tuple[Codec, ...] = ()
    if dtype is None:
        dtype, codecs = OBJECTS, (JSON_OBJECTS,)
    return ZarrArray(entry, shape or (1,), chunks or (1,), dtype, codecs, is_linked=True)


def _inlined(entry: ArrayEntry, values: npt.NDArray[np.generic], rules: Rules, point: Point) -> ZarrArray:
    """Return an array whose values stand in the document."""
    element = entry.element
    shape = tuple(values.shape) if rules.has_scalars else tuple(values.shape) or (1,)
    array = ZarrArray(entry, shape, shape, OBJECTS)
    if element.kind == "string" and element.dtype is None and not values.shape:
        text = text_of(values.item())
        texts = np.array([text], f"<U{max(len(text), 1)}")
        array = replace(array, dtype=texts.dtype, content=texts.tobytes())
    elif element.kind in NUMBERS or (element.dtype is not None and element.kind in {"string", "bytes"}):
        dtype = inline_dtype(element, values)
        array = replace(array, dtype=dtype, fill=entry.fill, content=number_bytes(values, dtype))
    else:
        fields = fields_of(values, element) if element.kind == "compound" else []
        content = objects_as_json(values, element, point)
        array = replace(array, codecs=(JSON_OBJECTS,), content=content, fields=fields)
    assert array.content is not None  # noqa: S101  # in every branch
    if len(array.content) <= _COMPRESSED_BYTES:
        return array
    return replace(array, codecs=(*array.codecs, _ZLIB), content=zlib.compress(array.content, 6))
