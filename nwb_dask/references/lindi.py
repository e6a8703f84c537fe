"""LINDI JSON: a Zarr version 2 hierarchy whose chunks are ranges of the file, with what NWB needs beside.

References
----------
LINDI 0.4.6: ``LindiH5ZarrStore`` (how HDF5 is said), ``LindiReferenceFileSystemStore`` (the document).
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from posixpath import normpath

import numpy as np

from nwb_dask.index import AttributeValue, FileIndex, FilePath, GroupEntry, Home, join
from nwb_dask.references.addresses import Stated
from nwb_dask.references.arrays import ZarrArray, fill_of, keys_of, zarray
from nwb_dask.references.attributes import Json, as_json
from nwb_dask.references.gather import Contents, pointing
from nwb_dask.references.report import LeftOut

_GROUP: dict[str, Json] = {"zarr_format": 2}
_TEMPLATE_USES = 5
"""A URL that is written so often has a template."""


def lindi_document(contents: Contents, urls: Stated) -> tuple[bytes, tuple[LeftOut, ...]]:
    """Return the document, and what has no place in it.

    Parameters
    ----------
    contents : Contents
        Of the file, from its root.
    urls : Stated
        What is written for each file that holds chunks.
    """
    writer = _Writer(contents, urls)
    for group in contents.index.groups.values():
        writer.add_group(group)
    for path, target in contents.index.same.items():
        writer.add_link(path, target)
    refs = writer.refs
    document: dict[str, object] = {"refs": refs, "version": 1}
    templates = _templates(refs)
    if templates:
        document["templates"] = templates
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii"), tuple(writer.left_out)


class _Writer:
    """Puts references together, key by key."""

    def __init__(self, contents: Contents, urls: Stated) -> None:
        self._contents = contents
        self._urls = urls
        self._point = pointing(contents.index)
        self.refs: dict[str, Json] = {}
        self.left_out: list[LeftOut] = []

    def add_group(self, group: GroupEntry) -> None:
        """Add a group, its soft links and its arrays; groups in it are added by themselves."""
        index = self._contents.index
        self.refs[_key(group.path, ".zgroup")] = _GROUP
        self._add_attributes(group.path, group.attributes, {})
        for name in group.members:
            path = join(group.path, name)
            if name in group.links:
                link = group.links[name]
                if link.filename is None:
                    self.add_link(path, link.target)
                else:
                    self.left_out.append(LeftOut(path, "it is a link into another file, which is not followed"))
            elif path in self._contents.arrays:
                self.add_array(path, self._contents.arrays[path], index)

    def add_link(self, path: str, target: str) -> None:
        """Add a soft link; LINDI follows them from the root only."""
        parent = path.rpartition("/")[0]
        absolute = normpath(target if target.startswith("/") else f"{parent}/{target}")
        self.refs[_key(path, ".zgroup")] = _GROUP
        self.refs[_key(path, ".zattrs")] = {"_SOFT_LINK": {"path": f"/{absolute.lstrip('/')}"}}

    def add_array(self, path: str, array: ZarrArray, index: FileIndex) -> None:
        """Add an array and its chunks."""
        special: dict[str, Json] = {}
        if array.entry.shape == ():
            special["_SCALAR"] = True
        if array.fields:
            special["_COMPOUND_DTYPE"] = [list[Json](field) for field in array.fields]
        if array.is_linked:
            home = array.entry.home or Home(index.source.url, FilePath(path), ())
            name, url = home.path.lstrip("/"), self._urls.of(home.url)
            special["_EXTERNAL_ARRAY_LINK"] = {"link_type": "hdf5_dataset", "name": name, "url": url}
        self._add_attributes(path, array.entry.attributes, special)
        self.refs[_key(path, ".zarray")] = zarray(array, has_compressor=array.content is not None, fill=fill_of(array))
        for number, content in array.inline().items():
            self.refs[_key(path, keys_of(array, np.array([number]))[0])] = _inline(content)
        found = array.placement
        if found is None or not array.n_chunks:
            return
        manifest = found.manifest
        files = [0] * array.n_chunks if found.files is None else found.files.tolist()
        urls = [self._urls.of(url) for url in found.urls]
        prefix = _key(path, "")
        for key, file, offset, size in zip(
            keys_of(array, manifest.numbers), files, manifest.offsets.tolist(), manifest.sizes.tolist(), strict=True
        ):
            self.refs[prefix + key] = [urls[file], offset, size]

    def _add_attributes(self, path: str, attributes: Mapping[str, AttributeValue], special: dict[str, Json]) -> None:
        found, failed = as_json(attributes, lambda reference: self._point(reference.path))
        self.left_out += [LeftOut(f"{path}@{name}", reason) for name, reason in failed.items()]
        if found or special:
            self.refs[_key(path, ".zattrs")] = {**found, **special}


def _key(path: str, name: str) -> str:
    return f"{path.strip('/')}/{name}".lstrip("/")


def _inline(content: bytes) -> str:
    """Return bytes as the document has them: text if it is printable ASCII without meaning to readers."""
    if content.isascii() and not content.startswith(b"base64:") and b"{{" not in content:
        text = content.decode("ascii")
        if text.isprintable():
            return text
    return "base64:" + b64encode(content).decode("ascii")


def _templates(refs: dict[str, Json]) -> dict[str, str]:
    """Return names for URLs that are used often, after putting them in their place."""
    ranges = [value for value in refs.values() if isinstance(value, list)]
    uses: dict[str, int] = {}
    for one in ranges:
        uses[str(one[0])] = uses.get(str(one[0]), 0) + 1
    names = {url: f"u{i}" for i, url in enumerate(sorted(u for u, n in uses.items() if n >= _TEMPLATE_USES), 1)}
    for one in ranges:
        name = names.get(str(one[0]))
        if name is not None:
            one[0] = f"{{{{{name}}}}}"
    return {name: url for url, name in names.items()}
