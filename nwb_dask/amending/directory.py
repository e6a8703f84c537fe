"""A ``.lindi.d``: a folder with ``lindi.json`` and a file for each blob.

A blob gets its name when all of it is on the disk, and no name is used twice. ``lindi.json`` is replaced last, in one
step: until then it names only what was there. Source of the layout: LINDI 0.4.6, ``LindiTarFile`` with
``dir_representation``.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from nwb_dask.amending.document import LindiDocument, dump_document, load_document
from nwb_dask.amending.tar import DOCUMENT, MADE
from nwb_dask.errors import MalformedFileError, SourceAccessError
from nwb_dask.storage import Buffer
from nwb_dask.storage.durable import flush
from nwb_dask.storage.keys import check_key


class DirectoryOutput:
    """A ``.lindi.d`` that is open for additions by the one process that has its lock.

    Parameters
    ----------
    path : Path
        A folder that is there, or where one shall be after the first commit.

    Attributes
    ----------
    document : dict or None
        The document as last committed; None if there is none yet.

    Raises
    ------
    MalformedFileError
        If there is something that is no LINDI folder.
    """

    longest_name = 200

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_new = not path.exists()
        self._working = path.with_name(f".{path.name}.{secrets.token_hex(4)}{MADE}") if self._is_new else path
        self._added: list[Path] = []
        self.document: LindiDocument | None = None
        if self._is_new:
            self._working.mkdir()
            return
        try:
            self.document = load_document(self._place(DOCUMENT).read_bytes())
        except (OSError, ValueError) as error:
            message = f"{path} is no .lindi.d that can be added to: its lindi.json cannot be read ({error})"
            raise MalformedFileError(message, url=str(path)) from error
        for left in path.rglob(f"*{MADE}"):
            # Half of a blob, of a run that was killed: this process has the lock.
            left.unlink()

    def has_blob(self, name: str) -> bool:
        """Tell whether a file of this name is there, committed or not."""
        return self._place(name).exists()

    def add_blob(self, name: str, parts: Iterable[Buffer]) -> int:
        """Write a file under a name that is not taken, and return its size. It counts once it is committed."""
        target = self._place(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        made = target.with_name(f".{secrets.token_hex(4)}{MADE}")
        size = 0
        try:
            with made.open("xb") as file:
                for part in parts:
                    size += file.write(part)
                file.flush()
                os.fsync(file.fileno())
            made.rename(target)
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        self._added.append(target)
        return size

    def read_blob(self, name: str, start: int, stop: int) -> bytes:
        """Return bytes of a file, committed or not; fewer where it ends before."""
        path = self._place(name)
        if not path.is_file():
            raise MalformedFileError(f"damaged: {self.path} has no file {name[:200]!r}", url=str(self.path))
        with path.open("rb") as file:
            file.seek(start)
            return file.read(max(min(stop, path.stat().st_size) - start, 0))

    def _place(self, name: str) -> Path:
        """Return the path of a file in the folder, which a name from its document may deny or links may leave.

        Raises
        ------
        MalformedFileError, SourceAccessError
            If so.
        """
        path = self._working / check_key(name, name=str(self.path))
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._working)):
            message = f"{path} is a link out of {self.path}, which is not followed; put the file itself in its place"
            raise SourceAccessError(message, url=str(self.path))
        return path

    def commit(self, document: LindiDocument) -> None:
        """Let the document, and the files added since the last commit, be what the folder is."""
        for folder in {above for path in self._added for above in path.parents if above.is_relative_to(self._working)}:
            flush(folder)
        made = self._working / f".{DOCUMENT}{MADE}"
        with made.open("wb") as file:
            file.write(dump_document(document))
            file.flush()
            os.fsync(file.fileno())
        made.replace(self._working / DOCUMENT)
        flush(self._working)
        if self._is_new:
            self._working.rename(self.path)
            self._working, self._is_new = self.path, False
            flush(self.path.parent)
        self._added = []
        self.document = document

    def rollback(self) -> None:
        """Remove what was added since the last commit."""
        for path in self._added:
            path.unlink(missing_ok=True)
        self._added = []

    def close(self) -> None:
        """Give up the folder; what is not committed is lost. More than once is harmless."""
        self.rollback()
        if self._is_new and self._working.is_dir():
            shutil.rmtree(self._working)
