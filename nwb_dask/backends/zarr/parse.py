"""From the JSON documents of a Zarr hierarchy to descriptions. Pure.

References
----------
Zarr storage specification version 2; Zarr core specification version 3.1, *Metadata*.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, cast

from nwb_dask.backends.zarr import checks
from nwb_dask.backends.zarr.documents import ArrayDocument, Attributes, Codec, Document, GroupDocument, Json, Keys
from nwb_dask.backends.zarr.dtypes import dtype_v2, dtype_v3
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import FilePath

_NUMCODECS = "numcodecs."
_V3 = 3
_MAX_CODECS = 32


def parse_array_v2(path: FilePath, value: Json, attributes: Attributes) -> ArrayDocument:
    """Return what a ``.zarray`` says, with the attributes that stand beside it.

    Raises
    ------
    MalformedFileError
        If it breaks the rules of the format.
    UnsupportedLayoutError
        If its data type is not read.
    """
    document = checks.mapping(value, ".zarray")
    shape = checks.lengths(document.get("shape"), "its shape")
    chunks = _fitting(checks.lengths(document.get("chunks"), "the shape of its chunks"), shape)
    separator = _separator(document.get("dimension_separator", "."))
    steps = checks.sequence(document.get("filters") or [], "its filters")
    compressor = document.get("compressor")
    written = [*steps, *([] if compressor is None else [compressor])]
    return ArrayDocument(
        path,
        shape,
        chunks,
        dtype_v2(document.get("dtype")),
        document.get("fill_value"),
        tuple([_codec_v2(one) for one in _few(written)]),
        Keys("", separator, "0"),
        _order(document.get("order", "C")),
        attributes,
        2,
    )


def parse_node_v3(path: FilePath, value: Json) -> Document:
    """Return what a ``zarr.json`` says; raises as `parse_array_v2`."""
    document = checks.mapping(value, "zarr.json")
    if document.get("zarr_format") != _V3:
        raise UnsupportedLayoutError(f"zarr.json is of version {document.get('zarr_format')!r} of the format")
    attributes = MappingProxyType(dict(checks.mapping(document.get("attributes") or {}, "its attributes")))
    kind = document.get("node_type")
    if kind == "group":
        return GroupDocument(path, attributes)
    if kind != "array":
        raise MalformedFileError(f"damaged: it is a {kind!r}, neither group nor array")
    if document.get("storage_transformers"):
        raise UnsupportedLayoutError("it has storage transformers, of which none is known")
    shape = checks.lengths(document.get("shape"), "its shape")
    chunks = _fitting(_regular_grid(document.get("chunk_grid")), shape)
    return ArrayDocument(
        path,
        shape,
        chunks,
        dtype_v3(document.get("data_type")),
        document.get("fill_value"),
        parse_codecs_v3(document.get("codecs")),
        _keys_v3(document.get("chunk_key_encoding")),
        "C",
        attributes,
        3,
    )


def parse_codecs_v3(value: Json) -> tuple[Codec, ...]:
    """Return a chain of codecs; those of numcodecs lose its name before theirs."""
    found = []
    for one in _few(list(checks.sequence(value, "its codecs"))):
        name, options = _named(one, "a codec")
        found.append(Codec(name.removeprefix(_NUMCODECS), options))
    return tuple(found)


def _codec_v2(value: Json) -> Codec:
    found = dict(checks.mapping(value, "a codec"))
    return Codec(checks.name(found.pop("id", None), "the name of a codec"), MappingProxyType(found))


def _few(codecs: list[Json]) -> list[Json]:
    if len(codecs) > _MAX_CODECS:
        raise MalformedFileError(f"damaged: it has {len(codecs)} codecs")
    return codecs


def _named(value: Json, what: str) -> tuple[str, Mapping[str, Json]]:
    """Return a name with its configuration; a name alone has none."""
    if isinstance(value, str):
        return value, MappingProxyType({})
    found = checks.mapping(value, what)
    options = checks.mapping(found.get("configuration") or {}, f"the configuration of {what}")
    return checks.name(found.get("name"), f"the name of {what}"), MappingProxyType(dict(options))


def _regular_grid(value: Json) -> tuple[int, ...]:
    name, options = _named(value, "its chunk grid")
    if name != "regular":
        raise UnsupportedLayoutError(f"its chunk grid {name!r} is not read")
    return checks.lengths(options.get("chunk_shape"), "the shape of its chunks")


def _fitting(chunks: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of chunks, of which none is empty but along an axis without elements; there it is 1."""
    if len(chunks) != len(shape) or any(not chunk and length for chunk, length in zip(chunks, shape, strict=True)):
        raise MalformedFileError(f"damaged: chunks of {chunks} for a shape of {shape}")
    return tuple([max(chunk, 1) for chunk in chunks])


def _keys_v3(value: Json) -> Keys:
    name, options = _named(value, "its chunk keys")
    if name == "v2":
        return Keys("", _separator(options.get("separator", ".")), "0")
    if name != "default":
        raise UnsupportedLayoutError(f"its chunk keys {name!r} are not read")
    separator = _separator(options.get("separator", "/"))
    return Keys(f"c{separator}", separator, "c")


def _separator(value: Json) -> Literal[".", "/"]:
    if value not in (".", "/"):
        raise MalformedFileError(f"damaged: the separator of its keys is {str(value)[:40]!r}")
    return cast("Literal['.', '/']", value)


def _order(value: Json) -> Literal["C", "F"]:
    if value not in ("C", "F"):
        raise MalformedFileError(f"damaged: its order is {str(value)[:40]!r}")
    return cast("Literal['C', 'F']", value)
