"""An archive that is committed to many times: what is of no use any more goes, and never what counts."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_dask.amending import tar
from nwb_dask.amending.arrays import add_array, append
from nwb_dask.amending.draft import Draft
from nwb_dask.amending.output import open_output
from tests.amending.oracle import keys, read_numbers, read_output
from tests.amending.test_killed import dying
from tests.conversion.killing import KILLED, count_steps, in_child

NOISE = np.random.default_rng(0).normal(size=2000)


def used_bytes(path: Path) -> int:
    document, blobs = read_output(path)
    return sum(map(len, blobs.values())) + sum(len(key) + len(str(value)) for key, value in document["refs"].items())


def begin(path: Path, document: dict[str, Any]) -> Draft:
    draft = Draft(document, open_output(path))
    for number in range(40):
        draft.create_group(f"/group {number}", {"description": "x" * 400})
    add_array(draft, "/noise", NOISE)
    add_array(draft, "/grows", [0])
    draft.commit()
    return draft


def test_an_archive_of_many_commits_stays_small(
    tmp_path: Path, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar, "_SLACK_BYTES", 0)
    path = tmp_path / "x.lindi.tar"
    draft = begin(path, document)
    path.chmod(0o640)
    for number in range(1, 40):
        append(draft, "/grows", [number])
        draft.commit()
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.stat().st_size < 5 * used_bytes(path)
    add_array(draft, "/lost", NOISE)
    draft.rollback()
    draft.output.close()
    np.testing.assert_array_equal(read_numbers(path, "/grows"), np.arange(40))
    np.testing.assert_array_equal(read_numbers(path, "/noise"), NOISE)
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == [path.name]
    with tarfile.open(path) as archive:
        assert "blobs/noise/chunks" in archive.getnames()


@pytest.mark.slow
def test_killed_while_an_archive_is_packed_it_is_old_or_new(
    tmp_path: Path, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    path = folder / "x.lindi.tar"
    draft = begin(path, document)
    for number in range(1, 5):
        append(draft, "/grows", [number])
        draft.commit()
    draft.output.close()
    before, old = path.read_bytes(), keys(*read_output(path))
    monkeypatch.setattr(tar, "_SLACK_BYTES", 0)

    def run() -> None:
        output = open_output(path)
        again = Draft(output.document or {}, output)
        append(again, "/grows", [5])
        again.commit()
        output.close()

    total = count_steps(run, folder)
    new = keys(*read_output(path))
    assert path.stat().st_size < len(before) / 2
    # The last steps put the new in its place: they are tried always.
    for step in sorted({*range(1, total + 1, 5), *range(max(total - 5, 1), total + 1)}):
        path.write_bytes(before)
        assert in_child(dying(step, folder, run)) == KILLED
        assert keys(*read_output(path)) in (old, new)
    run()
    assert list(folder.iterdir()) == [path]
