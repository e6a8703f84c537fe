"""An icechunk repository whose chunks are ranges of the file: numeric arrays, as Zarr version 3.

References
----------
icechunk, *Virtual Datasets*; Zarr core specification, version 3.
"""

from __future__ import annotations

import warnings
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import zarr

from nwb_dask.errors import OutputError, UnsupportedLayoutError
from nwb_dask.references.addresses import Stated
from nwb_dask.references.arrays import ZarrArray
from nwb_dask.references.attributes import as_json
from nwb_dask.references.codecs import FOR_NUMBERS, Codec
from nwb_dask.references.gather import Contents
from nwb_dask.references.kerchunk import below, dimensions
from nwb_dask.references.report import LeftOut
from nwb_dask.storage import local_path
from nwb_dask.storage.urls import scheme


def load_icechunk() -> ModuleType:
    """Return the library.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import icechunk  # noqa: PLC0415  # optional
    except ImportError as error:
        message = "format='icechunk' needs the icechunk library: pip install 'nwb-dask[icechunk]'"
        raise ImportError(message) from error
    return icechunk


def write_icechunk(folder: Path, contents: Contents, top: str, urls: Stated) -> tuple[LeftOut, ...]:
    """Write a repository with one commit on ``main``; return what has no place in it."""
    icechunk = load_icechunk()
    config = icechunk.RepositoryConfig.default()
    placements = [one.placement for one in contents.arrays.values() if one.placement is not None]
    used = {urls.of(url) for url in [contents.index.source.url, *(url for one in placements for url in one.urls)]}
    for url in sorted({urls.folder_of(url) or url for url in used}):
        config.set_virtual_chunk_container(_container(icechunk, url))
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(folder)), config)
    session = repository.writable_session("main")
    left_out: list[LeftOut] = []
    with warnings.catch_warnings():
        # That codecs of numcodecs are in no specification of version 3: readers have them from the same library.
        warnings.simplefilter("ignore")
        root = zarr.create_group(session.store, zarr_format=3)
        for path, group in contents.index.groups.items():
            name = below(path, top)
            made = root.require_group(name) if name else root
            attributes, failed = as_json(group.attributes, None)
            made.attrs.update(attributes)
            left_out += [LeftOut(f"{path}@{key}", reason) for key, reason in failed.items()]
        for path, array in contents.arrays.items():
            name = below(path, top)
            attributes, failed = as_json(array.entry.attributes, None)
            left_out += [LeftOut(f"{path}@{key}", reason) for key, reason in failed.items()]
            try:
                values = _created(root, name, array, attributes)
            except UnsupportedLayoutError as error:
                left_out.append(LeftOut(path, error.message))
                continue
            _add_values(values, array)
            _add_chunks(icechunk, session.store, name, array, urls)
    session.commit("references by nwb_dask")
    return tuple(left_out)


def is_icechunk(path: Path) -> bool:
    """Return whether a folder holds a repository."""
    return (path / "snapshots").is_dir() and (path / "manifests").is_dir()


def _created(root: zarr.Group, name: str, array: ZarrArray, attributes: dict[str, Any]) -> zarr.Array[Any]:
    """Return an array without chunks."""
    order = {"<": "little", ">": "big"}.get(_encoded(array).str[0])
    # What stands in the repository is compressed by that.
    steps = [step for step in array.codecs if step["id"] not in FOR_NUMBERS] if array.content is None else []
    return root.create_array(
        name,
        shape=array.shape,
        chunks=array.chunks,
        dtype=array.dtype.newbyteorder("="),
        filters=[*_transposed(array), *(_codec(step) for step in _filters(array))] or None,
        serializer={"name": "bytes", "configuration": {"endian": order} if order else {}},
        compressors=[_codec(step) for step in steps] or None,
        fill_value=np.zeros((), array.dtype)[()] if array.fill is None else np.frombuffer(array.fill, array.dtype)[0],
        attributes=attributes,
        dimension_names=dimensions(array, name),
    )


def _filters(array: ZarrArray) -> list[Codec]:
    """Return the codecs for numbers, which come before the others.

    Raises
    ------
    UnsupportedLayoutError
        If one does not, which version 3 has no words for.
    """
    is_first = [step["id"] in FOR_NUMBERS for step in array.codecs]
    if is_first != sorted(is_first, reverse=True):
        raise UnsupportedLayoutError("codecs for numbers come after others, which Zarr version 3 does not have")
    return [step for step in array.codecs if step["id"] in FOR_NUMBERS]


def _encoded(array: ZarrArray) -> np.dtype[Any]:
    """Return the type of what codecs for numbers write."""
    dtype = array.dtype
    for step in _filters(array):
        if step["id"] == "packbits":
            dtype = np.dtype(np.uint8)
        declared = step.get("encode_dtype" if step["id"] == "astype" else "astype")
        dtype = np.dtype(declared) if isinstance(declared, str) and step["id"] != "quantize" else dtype
    return dtype


def _transposed(array: ZarrArray) -> list[dict[str, Any]]:
    if array.order == "C":
        return []
    return [{"name": "transpose", "configuration": {"order": list(range(len(array.shape)))[::-1]}}]


def _codec(step: Codec) -> dict[str, Any]:
    """Return a codec as version 3 stores it."""
    return {"name": f"numcodecs.{step['id']}", "configuration": {key: step[key] for key in step if key != "id"}}


def _add_values(made: zarr.Array[Any], array: ZarrArray) -> None:
    """Write the values that are at hand, which are one chunk."""
    for content in array.inline().values():
        data = zlib.decompress(content) if array.content is not None and array.codecs else content
        made[...] = np.frombuffer(data, array.dtype).reshape(array.shape)


def _add_chunks(
    icechunk: ModuleType,
    store: Any,  # noqa: ANN401  # of an optional library
    name: str,
    array: ZarrArray,
    urls: Stated,
) -> None:
    found = array.placement
    if found is None or not array.n_chunks:
        return
    manifest = found.manifest
    places = np.stack(np.unravel_index(manifest.numbers, array.counts), axis=1).tolist()
    stated = [urls.of(url) for url in found.urls]
    files = [0] * array.n_chunks if found.files is None else found.files.tolist()
    chunks = [
        icechunk.VirtualChunkSpec(index=place, location=stated[file], offset=offset, length=size)
        for place, file, offset, size in zip(
            places, files, manifest.offsets.tolist(), manifest.sizes.tolist(), strict=True
        )
    ]
    failed = store.set_virtual_refs(f"/{name}", chunks, validate_containers=True)
    if failed:
        message = f"icechunk takes no references to {stated[0]}, as to no server with a port; url= says what to write"
        raise OutputError(message, url=stated[0])


def _container(icechunk: ModuleType, url: str) -> object:
    """Return where chunks may be: a local folder, or the server or bucket of a remote file."""
    kind, host = scheme(url), urlsplit(url).netloc
    if kind == "file":
        folder = Path(local_path(url)) if url.endswith("/") else Path(local_path(url)).parent
        store = icechunk.local_filesystem_store(str(folder))
        return icechunk.VirtualChunkContainer(f"{folder.as_uri()}/", store)
    makers = {
        "http": icechunk.http_store,
        "https": icechunk.http_store,
        "s3": icechunk.s3_store,
        "gs": icechunk.gcs_store,
    }
    if kind not in makers:
        raise OutputError(f"icechunk reads no {kind}:// URLs; url= says what to write", url=url)
    return icechunk.VirtualChunkContainer(f"{kind}://{host}/", makers[kind]())
