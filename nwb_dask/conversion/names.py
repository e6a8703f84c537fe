"""Names of what is written: readable, told apart on every file system, and made from the names alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from urllib.parse import quote

METADATA = "session"
"""The table of `read_metadata`, which has no path in a file: paths of tables begin with a slash."""

_ROOT = "root"
_RESERVED = frozenset({METADATA, _ROOT})
_LONGEST = 120
"""Bytes of a name; file systems take 255, and a suffix or a key stands beside it."""
_NUMBER_LIKE = re.compile(r"[^a-z]|(nan|inf|infinity|null|none|true|false|na|nat|__hive)(\W|$)", re.IGNORECASE)
_PARTITION_KEYS = ("session", "nwb_session", "nwb_dask_session")


def encode_path(path: str) -> str:
    """Return the name of a table: ``/intervals/trials`` is ``intervals.trials``, ``/`` is ``root``.

    Letters and digits of ASCII, ``-`` and ``_`` stand for themselves, dots for the slashes, and everything else is
    encoded as in URLs, with ``~`` for the percent sign, which some readers of paths decode: no two paths have one name,
    and each name says the path. A table that is called like a name of ours has its first letter encoded: ``/session``
    is ``~73ession``.
    """
    if path == METADATA:
        return METADATA
    if path == "/":
        return _ROOT
    name = ".".join(encode_text(part) for part in path.strip("/").split("/"))
    return f"~{ord(name[0]):02X}{name[1:]}" if name in _RESERVED else name


def encode_text(text: str) -> str:
    """Return text as a part of a name; ``unquote`` gives it back once ``%`` stands for ``~``."""
    # `quote` never touches these four.
    name = quote(text, safe="").replace(".", "%2E").replace("~", "%7E").replace("%", "~")
    # Readers of folders of Parquet files leave out what begins with an underscore.
    return f"~5F{name[1:]}" if name.startswith("_") else name


def table_names(paths: Iterable[str]) -> dict[str, str]:
    """Return the name of each table, by its path, for file systems that ignore case and for long paths too.

    A name that is too long, or that differs from another in case only, ends in ``~~`` and a digest of the path.
    """
    return told_apart({path: encode_path(path) for path in paths}, longest=_LONGEST, first=_RESERVED)


def told_apart(names: Mapping[str, str], *, longest: int, first: Iterable[str] = ()) -> dict[str, str]:
    """Return `names` with a digest of the key at the end of those that are too long, or alike but for case.

    Parameters
    ----------
    names : mapping of str to str
        A wanted name for each key.
    longest : int
        Characters that a name may have.
    first : iterable of str
        Names that stay as they are.
    """
    kept = frozenset(first)
    folded: dict[str, int] = {}
    for name in names.values():
        folded[name.casefold()] = folded.get(name.casefold(), 0) + 1
    return {
        key: name
        if len(name) <= longest and (folded[name.casefold()] == 1 or name in kept)
        else _with_digest(name, key, longest)
        for key, name in names.items()
    }


def session_names(files: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each file, as readers of the output see it: the file's without ``.nwb``.

    Files of one name have as many of the folders above them as tell them apart, ``day1/a`` and ``day2/a``. What a
    reader would take for a number or a date begins with ``nwb-``. A file that is given twice is ``a`` and ``a~2``.

    Parameters
    ----------
    files : sequence of str
        Absolute paths and URLs, as in ``_nwb_path``.
    """
    parts = [[part for part in re.split(r"/+", name) if part] or [name] for name in files]
    depths = dict.fromkeys(dict.fromkeys(files), 1)
    while clashing := _clashing(files, parts, depths):
        for name in clashing:
            depths[name] += 1
    labels = [_label(those, depths[name]) for name, those in zip(files, parts, strict=True)]
    # A file may be called as another that is given twice would be.
    taken = set(labels)
    copies: dict[str, int] = {}
    found = []
    for label in labels:
        name = label
        while label in copies and name in taken:
            copies[label] += 1
            name = f"{label}~{copies[label]}"
        copies.setdefault(label, 1)
        taken.add(name)
        found.append(name)
    return tuple(found)


def session_folders(sessions: Sequence[str]) -> dict[str, str]:
    """Return what stands in names of files for each session; readers of hive partitions decode it to the session."""
    return told_apart({one: quote(one, safe="").replace("~", "%7E") for one in sessions}, longest=_LONGEST)


def partition_key(columns: Iterable[str]) -> str:
    """Return the column that readers of the partitions see the session in; one that the table does not have."""
    taken = {name.casefold() for name in columns}
    numbered = (f"{_PARTITION_KEYS[-1]}_{number}" for number in range(2, len(taken) + 3))
    return next(key for key in (*_PARTITION_KEYS, *numbered) if key not in taken)


def _clashing(files: Sequence[str], parts: Sequence[list[str]], depths: Mapping[str, int]) -> set[str]:
    """Return the files whose label another file has, as long as there are folders left to tell them apart."""
    holders: dict[str, set[str]] = {}
    lengths = dict(zip(files, map(len, parts), strict=True))
    for name, those in zip(files, parts, strict=True):
        holders.setdefault(_label(those, depths[name]).casefold(), set()).add(name)
    groups = [names for names in holders.values() if len(names) > 1]
    return {name for names in groups for name in names if depths[name] < lengths[name]}


def _label(parts: Sequence[str], depth: int) -> str:
    label = "/".join(parts[-depth:])
    label = label[: -len(".nwb")] if label.endswith(".nwb") and len(parts[-1]) > len(".nwb") else label
    # A name that ends so would be taken for a source where the output lies among them.
    label = label if not label.endswith((".nwb", ".zarr")) else f"{label}-"
    return f"nwb-{label}" if _NUMBER_LIKE.match(label) else label


def _with_digest(name: str, key: str, longest: int) -> str:
    digest = blake2b(key.encode(errors="surrogateescape"), digest_size=4 if longest < _LONGEST else 8).hexdigest()
    short = name[: longest - len(digest) - 2]
    # Not in the middle of an encoded byte.
    cut = max(short.rfind("%"), short.rfind("~"))
    return f"{short[:cut] if cut > len(short) - 3 and cut >= 0 else short}~~{digest}"
