"""What a backend says of a file, and what it said went through h5py."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from nwb_dask.backends import File, open_file
from nwb_dask.backends.hdf5.format.chunk_index import find_chunks, n_grid
from nwb_dask.backends.hdf5.format.superblock import read_superblock
from nwb_dask.backends.hdf5.reaching import ReachingFile
from nwb_dask.backends.hdf5.rounds import run
from nwb_dask.backends.protocol import ByteSource
from nwb_dask.errors import NWBDaskError
from nwb_dask.index import ArrayEntry, AttributeValue, ChunkManifest, FileIndex, Reference, join
from tests.backends.answers import UNKNOWN, Answer, Answers, Refusal, To, told, told_scalar
from tests.backends.answers_of_h5py import Rows
from tests.backends.answers_of_types import type_in, unsupported_in

LOGGER = "nwb_dask.backends.hdf5"
_MOST_CHUNKS = 1 << 16
_MOST_ASKED_CHUNKS = 4096


@dataclass
class Fallbacks(logging.Handler):
    """Objects that went through h5py, with the reasons, as the backend logs them."""

    found: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason."""

    def __post_init__(self) -> None:
        super().__init__(logging.DEBUG)

    def __hash__(self) -> int:
        return id(self)

    def emit(self, record: logging.LogRecord) -> None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        self.found.append((str(arguments[0]), str(arguments[-1])) if arguments else ("", record.getMessage()))


@contextmanager
def fallbacks() -> Iterator[Fallbacks]:
    """Note what goes through h5py in this block."""
    logger, handler = logging.getLogger(LOGGER), Fallbacks()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def ask_ours(store: ByteSource, *, max_bytes: int, rows: Rows, groups: Sequence[str] | None = None) -> Answers:
    """Return the answers about a file; parameters as of `ask_h5py`.

    With `groups`, these are described one after the other; by default all at once. What is none of our errors goes
    through.
    """
    answers = Answers()
    try:
        with open_file(store) as file:
            for index in [file.index("/", recursive=True)] if groups is None else _indexes(file, groups):
                _note_all(file, index, answers, max_bytes=max_bytes, rows=rows)
    except NWBDaskError as exc:
        answers.found["/"] = Refusal(str(exc))
    return answers


def _indexes(file: File, groups: Sequence[str]) -> Iterator[FileIndex]:
    """Yield the index of one group after the other, without the groups in it."""
    for path in groups:
        try:
            index = file.index(path)
        except NWBDaskError as exc:
            yield FileIndex(file.source, {}, {}, {path: str(exc)})
        else:
            yield replace(index, groups={path: index.groups[path]} if path in index.groups else {})


def _note_all(file: File, index: FileIndex, answers: Answers, *, max_bytes: int, rows: Rows) -> None:
    _note_groups(index, answers)
    for path, reason in index.problems.items():
        answers.found[path] = Refusal(reason)
    for path, entry in index.arrays.items():
        for name, value in entry.attributes.items():
            answers.found[f"{path}@{name}"] = told_value(value)
        reason = unsupported_in(entry.element)
        answers.found[path] = Refusal(reason) if reason else _described(entry)
        # Which chunks there are libhdf5 says slowly, and it is asked of a local file that is described group by group.
        if not reason and (entry.chunk_index or n_chunks(entry) <= _MOST_ASKED_CHUNKS):
            _note_data(file, entry, answers, max_bytes=max_bytes, rows=rows)


def _note_groups(index: FileIndex, answers: Answers) -> None:
    for path, group in index.groups.items():
        answers.found[path] = ("group", group.members)
        for name, link in group.links.items():
            leads = ("soft", link.target) if link.filename is None else ("external", link.filename, link.target)
            answers.found[f"{join(path, name)}>"] = leads
        for name, value in group.attributes.items():
            answers.found[f"{path}@{name}"] = told_value(value)


def _described(entry: ArrayEntry) -> Answer:
    chunks: Answer = None
    if entry.chunks is not None:
        most = UNKNOWN if entry.chunk_index is None else entry.chunk_index.maxshape
        chunks = (entry.chunks, most)
    filters = tuple((step.id, step.options) for step in entry.filters)
    return ("array", type_in(entry.element), entry.shape, entry.layout, chunks, filters)


def told_value(value: AttributeValue) -> Answer:
    """Return the value of an attribute as an answer."""
    if value is None:
        return ("null",)
    if isinstance(value, tuple):
        return tuple([told_value(item) for item in value])
    if isinstance(value, Reference):
        return To(value.path)
    if isinstance(value, np.ndarray):
        return told(value)
    return value if isinstance(value, (str, bytes)) else told_scalar(value)


def _item(one: object) -> Answer:
    return To(one) if one is None or isinstance(one, str) else one


def _note_data(file: File, entry: ArrayEntry, answers: Answers, *, max_bytes: int, rows: Rows) -> None:
    path, shape = entry.path, entry.shape
    if entry.chunks is not None and isinstance(file, ReachingFile):
        answers.found[f"{path}#chunks"] = _chunks(file, entry) if entry.chunk_index else Refusal("described by h5py")
    if shape is None:
        return
    n_bytes = max(entry.element.size, 1)
    if prod(shape) * n_bytes <= max_bytes:
        _note_values(file, entry, f"{path}#values", answers, None)
    if shape and shape[0] > 0 and prod(shape[1:]) * n_bytes < 1 << 20:
        spans = np.array(rows(path, shape[0]), np.int64)
        _note_values(file, entry, f"{path}#rows", answers, spans)


def _note_values(
    file: File,
    entry: ArrayEntry,
    key: str,
    answers: Answers,
    spans: np.ndarray[tuple[int, ...], np.dtype[np.int64]] | None,
) -> None:
    try:
        answers.found[key] = told(file.read(entry, spans), _item)
    except NWBDaskError as exc:
        answers.found[key] = Refusal(str(exc))


def _chunks(file: ReachingFile, entry: ArrayEntry) -> Answer:
    """Return number, offset, size and mask of each chunk, as the own parser finds them."""
    found: list[ChunkManifest] = []
    try:
        if n_grid(entry) > _MOST_CHUNKS:
            return Refusal("too many chunks")
        every = np.array([[0, n_grid(entry)]], np.int64)

        def task() -> None:
            found.append(find_chunks(read_superblock(file.hdf5._pages).space, entry, every))

        run([task], file.hdf5._pages)
    except NWBDaskError as exc:
        return Refusal(str(exc))
    (manifest,) = found
    columns = (manifest.numbers, manifest.offsets, manifest.sizes, manifest.masks)
    return tuple(zip(*(column.tolist() for column in columns), strict=True))


def n_chunks(entry: ArrayEntry) -> int:
    """Return how many chunks cover the shape of a dataset; 0 if it has none, or none of any length."""
    if not entry.chunks or entry.shape is None or min(entry.chunks) < 1:
        return 0
    return prod(-(-length // chunk) for length, chunk in zip(entry.shape, entry.chunks, strict=False))
