"""The hidden folder in which an output is put together, next to where it will be.

::

    .<out>.nwb_dask-unfinished/
        asked.json    what was asked for
        new/          the output, part by part
        records/      what is finished, one file for each part
        scratch/      the part that is being written
        ready.json    digest of the manifest, once all is there
        complete/     `new`, once all is there; then what stood at <out> before, until it is removed
        old/          what stood at <out> before, where the two cannot change places in one step

One process at a time works in it: a lock of the system, which ends with the process.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nwb_dask.conversion.manifest import MANIFEST
from nwb_dask.conversion.parts import Part, as_record, from_record
from nwb_dask.conversion.report import WrittenFile
from nwb_dask.errors import OutputError
from nwb_dask.storage.durable import (
    count_bytes,
    digest,
    flush,
    put_in_place,
    read_json,
    write_json,
)
from nwb_dask.storage.exchange import exchange


@dataclass(frozen=True, slots=True)
class Staging:
    """The folder, while this process has it."""

    out: Path
    folder: Path

    @property
    def new(self) -> Path:
        """The output as far as it is there."""
        return self.folder / "new"

    def begin(self, asked: Mapping[str, object], *, resume: bool) -> None:
        """Take up what an earlier run left of the same request, or start with nothing.

        Raises
        ------
        OutputError
            If an earlier run that asked for something else is unfinished.
        """
        before = read_json(self.folder / "asked.json")
        if before is not None and before != asked and resume:
            raise OutputError(
                f"an unfinished conversion to {self.out} asked for something else ({_differences(before, asked)}); "
                f"ask for the same to finish it, or say resume=False to start anew",
                url=str(self.out),
            )
        if before is None or not resume:
            self._clear()
            write_json(self.folder / "asked.json", asked)
        self._take_back()
        for name in ("new", "records", "scratch"):
            (self.folder / name).mkdir(exist_ok=True)

    def finished(self, parts: Iterable[Part]) -> dict[str, WrittenFile]:
        """Return those of `parts` that are there, by their paths; whatever else is there is removed."""
        found: dict[str, WrittenFile] = {}
        for part in parts:
            written = from_record(part, read_json(self._record(part)))
            if written is not None and count_bytes(self.new / part.path) == written.bytes:
                found[part.path] = written
        _remove_others(self.new, found)
        _remove_others(self.folder / "scratch", ())
        return found

    def add(self, part: Part, before: Mapping[str, WrittenFile]) -> WrittenFile:
        """Write a part, and then its record."""
        made = self.folder / "scratch" / "part"
        rows = part.make(made, before)
        written = WrittenFile(part.path, part.tables, part.session, rows, count_bytes(made), digest(made))
        put_in_place(made, self.new / part.path, self.folder)
        write_json(self._record(part), as_record(part, written))
        return written

    def publish(self, manifest: Mapping[str, object]) -> None:
        """Write the manifest, put the output where it belongs in one step, and remove the rest."""
        write_json(self.new / MANIFEST, manifest)
        write_json(self.folder / "ready.json", {"manifest": digest(self.new / MANIFEST)})
        complete = self.folder / "complete"
        self.new.rename(complete)
        flush(self.folder)
        if not self.out.exists() or not any(self.out.iterdir()):
            complete.rename(self.out)
        elif not exchange(complete, self.out):
            self.out.rename(self.folder / "old")
            complete.rename(self.out)
        flush(self.out.parent)
        self.remove()

    def remove(self) -> None:
        """Remove the folder."""
        # What tells what the rest is goes last.
        self._clear()
        shutil.rmtree(self.folder)

    def _clear(self) -> None:
        for path in sorted(self.folder.iterdir(), key=lambda one: one.name in {"asked.json", "ready.json"}):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _take_back(self) -> None:
        """Go back to before the last step of a run that was broken off there."""
        old, complete = self.folder / "old", self.folder / "complete"
        if old.is_dir() and not self.out.exists():
            old.rename(self.out)
        if old.is_dir():
            shutil.rmtree(old)
        if not complete.is_dir():
            return
        ready = read_json(self.folder / "ready.json")
        manifest = complete / MANIFEST
        if manifest.is_file() and ready == {"manifest": digest(manifest)} and not self.new.exists():
            complete.rename(self.new)
        else:
            shutil.rmtree(complete)

    def _record(self, part: Part) -> Path:
        return self.folder / "records" / f"{part.key}.json"


@contextmanager
def staging(out: Path) -> Iterator[Staging]:
    """Return the staging folder of an output, locked for the length of the block.

    Raises
    ------
    OutputError
        If another process has it.
    """
    folder = out.with_name(f".{out.name}.nwb_dask-unfinished")
    while True:
        folder.mkdir(exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = f"another process is converting to {out}; wait for it, or write elsewhere"
                raise OutputError(message, url=str(out)) from None
            if not _is_same(handle, folder):
                # It was finished and removed between the two calls.
                continue
            yield Staging(out, folder)
            return
        finally:
            os.close(handle)


def recover(out: Path) -> None:
    """Put back what stood at `out` if a run was broken off between taking it away and putting the new in its place."""
    old = out.with_name(f".{out.name}.nwb_dask-unfinished") / "old"
    if old.is_dir() and not out.exists():
        with staging(out) as held:
            held._take_back()  # noqa: SLF001  # of this module


def _is_same(handle: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), folder.stat())
    except FileNotFoundError:
        return False


def _remove_others(folder: Path, kept: Iterable[str]) -> None:
    """Remove what is in a folder but the paths that are kept, and folders that hold none of these."""
    wanted = {folder / path for path in kept}
    above = {parent for path in wanted for parent in path.parents}
    pending = [folder]
    while pending:
        for path in sorted(pending.pop().iterdir()):
            if path in wanted:
                continue
            if path in above:
                pending.append(path)
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _differences(before: object, asked: Mapping[str, object]) -> str:
    known = before if isinstance(before, dict) else {}
    names = sorted(name for name in {*known, *asked} if known.get(name) != asked.get(name))
    return ", ".join(f"{name}={known.get(name)!r}" for name in names)
