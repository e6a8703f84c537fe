"""What another file says, under the paths by which it was reached. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nwb_dask.index import (
    ArrayEntry,
    AttributeValue,
    ElementType,
    FileIndex,
    FilePath,
    GroupEntry,
    Home,
    Link,
    Reference,
    Routes,
    Source,
    Url,
    join,
)

ROOT = "<root>"
"""Name that stands behind the path of a link for the root of the file that it leads to, so that what lies beside the
target of the link has a path as well."""


def routes_of(*, link: str, target: str, asked: str, path: str) -> Routes:
    """Return how paths in another file become paths here.

    Parameters
    ----------
    link : str
        Path of the link, here.
    target : str
        What it names, there.
    asked, path : str
        What was asked of the other file, there and here.
    """
    return ((asked, path), (target, link), ("/", join(link, ROOT)))


def routed(path: str, routes: Routes) -> str:
    """Return a path in the other file as a path here."""
    for there, here in routes:
        if path == there:
            return here
        above = there.rstrip("/") + "/"
        # What lies beside the target of a link in that file is not below the path of the link there.
        if path.startswith(above) and not f"{path}/".startswith(f"{above}{ROOT}/"):
            return here.rstrip("/") + "/" + path[len(above) :]
    return path


def rebased(found: FileIndex, routes: Routes, source: Source) -> FileIndex:
    """Return the index of a part of another file as one of the file that leads to it, which is `source`."""
    groups = {routed(path, routes): _group(entry, routes) for path, entry in found.groups.items()}
    url = found.source.url
    arrays = {routed(path, routes): _array(entry, routes, url) for path, entry in found.arrays.items()}
    problems = {}
    for path, reason in found.problems.items():
        owner, mark, name = path.rpartition("@")
        problems[routed(owner, routes) + mark + name if mark else routed(path, routes)] = reason
    return FileIndex(source, groups, arrays, problems)


def _group(entry: GroupEntry, routes: Routes) -> GroupEntry:
    links = {name: _link(link, routes) for name, link in entry.links.items()}
    path = FilePath(routed(entry.path, routes))
    return replace(entry, path=path, attributes=_attributes(entry.attributes, routes), links=links)


def _link(link: Link, routes: Routes) -> Link:
    is_absolute = link.filename is None and link.target.startswith("/")
    return Link(routed(link.target, routes)) if is_absolute else link


def _array(entry: ArrayEntry, routes: Routes, url: Url) -> ArrayEntry:
    home = entry.home or Home(url, entry.path, ())
    return replace(
        entry,
        path=FilePath(routed(entry.path, routes)),
        attributes=_attributes(entry.attributes, routes),
        home=replace(home, routes=(*home.routes, routes)),
    )


def _attributes(attributes: Mapping[str, AttributeValue], routes: Routes) -> Mapping[str, AttributeValue]:
    return {name: _value(value, routes) for name, value in attributes.items()}


def _value(value: AttributeValue, routes: Routes) -> AttributeValue:
    if isinstance(value, Reference) and value.path is not None:
        return Reference(routed(value.path, routes))
    if isinstance(value, tuple):
        return tuple([_value(item, routes) for item in value])
    return value


def routed_values(
    values: npt.NDArray[np.generic], element: ElementType, steps: Sequence[Routes]
) -> npt.NDArray[np.generic]:
    """Return values of a dataset in another file, with references as paths here."""
    if element.kind == "reference":
        out = np.empty(values.shape, object)
        out.reshape(-1)[:] = [_stepped(one, steps) for one in values.reshape(-1).tolist()]
        return out
    if element.kind != "compound" or not any(field.kind in {"reference", "compound"} for _, field in element.fields):
        return values
    record: npt.NDArray[np.void] = np.array(values)
    for name, field in element.fields:
        record[name] = routed_values(record[name], field, steps)
    return record


def _stepped(path: object, steps: Sequence[Routes]) -> object:
    if isinstance(path, str):
        for routes in steps:
            path = routed(path, routes)
    return path
