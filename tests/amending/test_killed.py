"""Whenever it ends, an amended file is the old one or the new one."""

from __future__ import annotations

import copy
import os
import random
import resource
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_dask.amending import tar
from nwb_dask.amending.arrays import add_array, append
from nwb_dask.amending.draft import Draft
from nwb_dask.amending.lock import WriterLock
from nwb_dask.amending.output import open_output
from nwb_dask.errors import OutputError
from tests.amending.oracle import keys, read_output, read_tar
from tests.conversion.killing import KILLED, count_steps, die_at, in_child

VALUES = np.random.default_rng(0).normal(size=3000)


def amend(path: Path, document: dict[str, Any], name: str) -> None:
    """Add a dataset, and rows to another one, in one commit."""
    output = open_output(path)
    try:
        draft = Draft(output.document or copy.deepcopy(document), output)
        add_array(draft, f"/{name}", VALUES)
        add_array(draft, f"/little_{name}", [1, 2])
        if draft.has("/grows"):
            append(draft, "/grows", VALUES)
        else:
            add_array(draft, "/grows", VALUES)
        draft.commit()
    finally:
        output.close()


def known(path: Path) -> dict[str, bytes] | None:
    return keys(*read_output(path)) if path.exists() else None


class Disk:
    """The steps in which one file was changed: writes, cuts, and what brought them to the disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[tuple[str, int, bytes]] = []
        shim = type("Os", (), {name: getattr(os, name) for name in dir(os) if not name.startswith("__")})
        monkeypatch.setattr(tar, "os", shim)
        shim.pwrite = staticmethod(self._pwrite)  # type: ignore[attr-defined]  # a module for one test
        shim.ftruncate = staticmethod(self._ftruncate)  # type: ignore[attr-defined]  # the same
        shim.fsync = staticmethod(self._fsync)  # type: ignore[attr-defined]  # the same

    def _pwrite(self, fd: int, data: bytes, at: int) -> int:
        self.steps.append(("write", at, bytes(data)))
        return os.pwrite(fd, data, at)

    def _ftruncate(self, fd: int, size: int) -> None:
        self.steps.append(("cut", size, b""))
        os.ftruncate(fd, size)

    def _fsync(self, fd: int) -> None:
        self.steps.append(("sync", 0, b""))
        os.fsync(fd)


def apply(data: bytearray, step: tuple[str, int, bytes]) -> None:
    kind, at, written = step
    if kind == "write":
        data.extend(bytes(max(at + len(written) - len(data), 0)))
        data[at : at + len(written)] = written
    elif kind == "cut":
        data.extend(bytes(max(at - len(data), 0)))
        del data[at:]


def test_an_archive_survives_the_loss_of_what_was_not_on_the_disk(
    tmp_path: Path, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.lindi.tar"
    amend(path, document, "first")
    before = path.read_bytes()
    disk = Disk(monkeypatch)
    amend(path, document, "second")
    old, new = keys(*read_tar(before)), keys(*read_output(path))
    assert old != new
    chance = random.Random(0)
    seen = []
    for at in range(len(disk.steps) + 1):
        synced = max((n + 1 for n in range(at) if disk.steps[n][0] == "sync"), default=0)
        for attempt in range(6):
            data = bytearray(before)
            for n, step in enumerate(disk.steps[:at]):
                if n < synced or attempt == 0:
                    apply(data, step)
                elif chance.random() < 0.5:
                    # A sector at least is written whole.
                    size = chance.randrange(0, len(step[2]) + 1, 512) if attempt > 3 else len(step[2])
                    apply(data, (step[0], step[1], step[2][:size]))
            found = keys(*read_tar(bytes(data)))
            assert found in (old, new)
            seen.append(found == new)
    assert set(seen) == {True, False}


def test_to_tar_an_archive_is_whole_while_something_is_appended(
    tmp_path: Path, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cut = tmp_path / "x.lindi.tar", tmp_path / "cut.tar"
    amend(path, document, "first")
    data = bytearray(path.read_bytes())
    disk = Disk(monkeypatch)
    amend(path, document, "second")
    for step in disk.steps:
        apply(data, step)
        cut.write_bytes(data)
        with tarfile.open(cut) as archive:
            assert archive.getnames()[:1] == [".tar_entry.json"]
            assert "blobs/first/chunks" in archive.getnames()


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize("every", [16, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_step_it_is_old_or_new_and_the_next_run_goes_on(
    out: Path, document: dict[str, Any], *, is_new: bool, every: int
) -> None:
    out = out.parent / "work" / out.name
    out.parent.mkdir()
    if not is_new:
        amend(out, document, "first")
    kept = {path: path.read_bytes() for path in [out, *out.rglob("*")] if path.is_file()}
    old = known(out)

    def run() -> None:
        amend(out, document, "second")

    def reset() -> None:
        for path in sorted(out.parent.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        for path, data in kept.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    total = count_steps(run, out.parent)
    new = known(out)
    seen = []
    # The last steps put the new in its place: they are tried always.
    for step in sorted({*range(1, total + 1, every), *range(max(total - 6, 1), total + 1)}):
        reset()
        assert in_child(dying(step, out.parent, run)) == KILLED
        found = known(out)
        assert found in (old, new)
        seen.append(found == new)
        if found == old and step % (2 * every) == 1:
            run()
            # Names of blobs may differ: those of a run that was killed are not taken again.
            assert known(out) == new
            assert list(out.parent.iterdir()) == [out]
    assert False in seen


def test_a_writer_that_was_killed_is_in_nobodys_way(out: Path) -> None:
    def die() -> None:
        WriterLock(out)
        os._exit(KILLED)

    assert in_child(die) == KILLED
    assert (out.parent / f".{out.name}.lock").exists()
    WriterLock(out).release()
    assert list(out.parent.iterdir()) == []


def dying(step: int, root: Path, run: Callable[[], None]) -> Callable[[], None]:
    def die() -> None:
        die_at(step, root)
        run()

    return die


def test_a_full_disk_is_an_error_that_leaves_what_was_there(out: Path) -> None:
    output = open_output(out)
    draft = Draft({"refs": {".zgroup": {"zarr_format": 2}}, "version": 1}, output)
    add_array(draft, "/kept", np.arange(1000))
    draft.commit()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    add_array(draft, "/lost", np.zeros(1 << 18))
    # The system refuses to write more to one file, as it does to a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(OutputError, match="cannot be written: File too large; what was committed before is whole"):
            draft.commit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert keys(*read_output(out)).keys() == {".zgroup", "kept/.zarray", "kept/0"}
    draft.commit()
    output.close()
    assert "lost/.zarray" in keys(*read_output(out))
