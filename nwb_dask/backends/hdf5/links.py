"""Members of groups, and paths through soft links. External links are never followed here."""

from __future__ import annotations

from difflib import get_close_matches
from typing import NamedTuple

from h5py import h5f, h5g, h5l

from nwb_dask.backends.hdf5.paths import link_outside
from nwb_dask.errors import MalformedFileError, PathNotFoundError, UnsupportedLayoutError
from nwb_dask.index import Link

_MAX_LINKS = 40
"""Soft links followed on the way to one object, as in libhdf5's users' guide for loops."""


class Member(NamedTuple):
    """A link in a group."""

    stored: bytes
    """Its name in the file."""
    kind: int
    """`h5l.TYPE_HARD`, `TYPE_SOFT`, `TYPE_EXTERNAL`, or a kind of the user's own."""
    address: int
    """Where the object is, if the link is hard."""

    @property
    def name(self) -> str:
        """The name as text; bytes that are not UTF-8 are escaped."""
        return text(self.stored)


def text(stored: bytes) -> str:
    """Return a name or path as text, so that `stored_path` gives it back."""
    return stored.decode("utf-8", "surrogateescape")


def stored_path(path: str) -> bytes:
    """Return an absolute path as it is in the file: ``units/`` is ``/units``, and the root is empty."""
    parts = [part for part in path.encode("utf-8", "surrogateescape").split(b"/") if part not in (b"", b".")]
    return b"".join(b"/" + part for part in parts)


def list_members(gid: h5g.GroupID) -> list[Member]:
    """Return the links of a group, in order of creation if the group keeps it, else by name."""
    members: list[Member] = []
    orders: list[int] = []

    def visit(name: bytes, info: h5l.LinkInfo) -> None:
        # libhdf5 reuses `info` for the next link.
        members.append(Member(name, info.type, info.u if info.type == h5l.TYPE_HARD else 0))
        if info.corder_valid:
            orders.append(info.corder)

    gid.links.iterate(visit, info=True)
    if len(orders) == len(members):
        members = [member for _, member in sorted(zip(orders, members, strict=True), key=lambda pair: pair[0])]
    return members


def read_link(gid: h5g.GroupID, member: Member) -> Link | None:
    """Return what a soft or external link names; None for other kinds."""
    if member.kind == h5l.TYPE_SOFT:
        return Link(text(gid.links.get_val(member.stored)))
    if member.kind == h5l.TYPE_EXTERNAL:
        filename, target = gid.links.get_val(member.stored)
        return Link(text(target), text(filename))
    return None


def find_object(fid: h5f.FileID, path: bytes) -> bytes:
    """Return the path of the object at `path` by hard links only; the root is empty.

    Raises
    ------
    PathNotFoundError
        If there is none, or a soft link dangles.
    UnsupportedLayoutError
        If an external link is on the way.
    MalformedFileError
        If soft links go in circles.
    """
    left = [part for part in path.split(b"/") if part not in (b"", b".")][::-1]
    here = b""
    n_links = 0
    while left:
        part = left.pop()
        step = here + b"/" + part
        try:
            kind = fid.links.get_info(step).type
        except (KeyError, ValueError, RuntimeError) as exc:
            # RuntimeError and ValueError: libhdf5 2.0 and a step below a dataset.
            raise _not_found(fid, path, here, part) from exc
        if kind == h5l.TYPE_HARD:
            here = step
        elif kind == h5l.TYPE_SOFT:
            n_links += 1
            if n_links > _MAX_LINKS:
                raise MalformedFileError("soft links lead in circles", path=text(path))
            target = fid.links.get_val(step)
            if target.startswith(b"/"):
                here = b""
            left.extend(part for part in target.split(b"/")[::-1] if part not in (b"", b"."))
        elif kind == h5l.TYPE_EXTERNAL:
            filename, inside = fid.links.get_val(step)
            link = Link(text(inside), text(filename))
            raise link_outside(text(path), text(step), link, [text(part) for part in left[::-1]])
        else:
            raise UnsupportedLayoutError(f"{text(step)} is a link of a kind that is not known", path=text(path))
    return here


def _not_found(fid: h5f.FileID, path: bytes, here: bytes, part: bytes) -> PathNotFoundError:
    """Return the error, with the nearest names beside the part that is missing."""
    message = f"nothing is at {text(path)}"
    try:
        names = [member.name for member in list_members(h5g.open(fid, here or b"/"))]
    except (KeyError, ValueError, RuntimeError, TypeError):
        return PathNotFoundError(message, path=text(path))
    near = get_close_matches(text(part), names, n=3)
    if near:
        message += "; did you mean " + " or ".join(f"{text(here)}/{name}" for name in near) + "?"
    return PathNotFoundError(message, path=text(path))
