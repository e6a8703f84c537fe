"""LINDI, pynwb, kerchunk, xarray, VirtualiZarr and icechunk open what is written, each in its own environment.

All HDF5 files among the real ones, against h5py: every dataset and attribute through LINDI, every numeric array through
the others. Environments are built where the benchmarks have theirs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import pytest
import zarr

import nwb_dask
from benchmarks.environments import ROOT, ensure_environment
from nwb_dask.references import Format, write_references
from tests.references.test_other_sources import CODED

INTEROP = Path(__file__).parents[3] / "shared" / "data" / "interop"
FORMS = ("session_zarr2.nwb.zarr", "session_zarr3.nwb.zarr", "session.lindi.json")
PEERS = Path(__file__).parent / "peers"
REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
FILES = [path for path in sorted(REAL.rglob("*.nwb")) if path.is_file()]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FILES, reason=f"real NWB files are absent: {REAL}"),
]

# HDF5's dimension scales are compounds and sequences, for which LINDI's attributes have no place.
_SCALES = ("@DIMENSION_LIST", "@REFERENCE_LIST")
# LINDI fills up chunks of numbers that are shorter than their elements, encoded ones too, which zstd does not take.
_FILLED_UP = "raises RuntimeError: Zstd decompression error: b'Src size is incorrect'"
# Links into other files, which LINDI does not know; two of them to a file that is not there.
_ELSEWHERE = {"20080606_R1.nwb", "20080606_R2.nwb", "link_test.nwb"}
# Its attribute `id` is to be an unsigned integer, and LINDI's attributes have no width.
_NO_WIDTH = {"test_pose.nwb"}


def ask(peer: str, environment: str, asked: list[list[str | None]], answer: Path) -> list[dict[str, Any]]:
    python = ensure_environment(f"test_{environment}", requirements=PEERS / f"{environment}.txt")
    command = [python, "-W", "ignore", "-m", f"tests.references.peers.{peer}", str(answer)]
    done = subprocess.run(
        command, input=json.dumps(asked), text=True, cwd=ROOT, capture_output=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(answer.read_text())
    return found


def written(format_: Format, folder: Path, group: str | None = None) -> list[list[str | None]]:
    """Return references, file and group of every file that has the group."""
    found: list[list[str | None]] = []
    for number, file in enumerate(FILES):
        if group is not None:
            with h5py.File(file) as right:
                if not isinstance(right.get(group), h5py.Group):
                    continue
        out = folder / f"{number}{'.json' if format_ in ('lindi', 'kerchunk-json') else ''}"
        write_references(file, out, format=format_, group=group)
        found.append([str(out), str(file), group])
    return found


def test_lindi_opens_every_real_file_and_pynwb_reads_it_through_lindi(tmp_path: Path) -> None:
    asked = [one[:2] for one in written("lindi", tmp_path)]
    found = ask("with_lindi", "lindi", asked, tmp_path / "answer")
    assert len(found) == len(FILES)
    for one in found:
        name = Path(one["file"]).name
        differences = [pair for pair in one["differences"] if not pair[0].endswith(_SCALES)]
        assert not differences or name in _ELSEWHERE, (name, differences)
        assert one["pynwb"] == "same" or one["pynwb"].startswith("unread") or name in _NO_WIDTH, (name, one["pynwb"])


def test_lindi_undoes_codecs_for_numbers(tmp_path: Path) -> None:
    store, twin = tmp_path / "a.zarr", tmp_path / "a.h5"
    group = zarr.create_group(str(store), zarr_format=2)
    with h5py.File(twin, "w") as file:
        for name, (values, codec) in CODED.items():
            array = group.create_array(
                name, shape=values.shape, dtype=values.dtype, chunks=(300,), filters=[codec], attributes={"a": 1}
            )
            array[...] = values
            file.create_dataset(name, data=array[...]).attrs["a"] = 1
    write_references(store, tmp_path / "a.lindi.json")
    (found,) = ask("with_lindi", "lindi", [[str(tmp_path / "a.lindi.json"), str(twin)]], tmp_path / "answer")
    assert found["n_arrays"] == len(CODED)
    assert not found["differences"]


@pytest.mark.skipif(not INTEROP.is_dir(), reason=f"the session is absent: {INTEROP}")
def test_lindi_opens_references_of_every_form_of_the_session_and_pynwb_reads_it(tmp_path: Path) -> None:
    asked: list[list[str | None]] = []
    with nwb_dask.options(remap={"http://127.0.0.1:8765": str(INTEROP)}):
        for name in FORMS:
            write_references(INTEROP / name, tmp_path / f"{name}.json")
            asked.append([str(tmp_path / f"{name}.json"), str(INTEROP / "session.nwb")])
    found = ask("with_lindi", "lindi", asked, tmp_path / "answer")
    for name, one in zip(FORMS, found, strict=True):
        differences = [pair for pair in one["differences"] if pair[1] != _FILLED_UP]
        assert not differences, (name, differences)
        assert name == "session_zarr3.nwb.zarr" or not one["differences"]
        assert one["pynwb"] == "same", (name, one["pynwb"])


@pytest.mark.parametrize(
    ("peer", "format_"),
    [("with_zarr", "kerchunk-json"), ("with_zarr", "kerchunk-parquet"), ("with_icechunk", "icechunk")],
)
def test_numbers_of_every_real_file_are_equal(peer: str, format_: Format, tmp_path: Path) -> None:
    found = ask(peer, "references", written(format_, tmp_path), tmp_path / "answer")
    assert len(found) == len(FILES)
    assert not [(one["file"], one["differences"]) for one in found if one["differences"]]


_VIRTUALIZARR = pytest.param(
    "with_virtualizarr",
    # https://github.com/zarr-developers/VirtualiZarr/issues/489
    marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="VirtualiZarr for Python 3.11 reads no inlined data"),
)


@pytest.mark.parametrize("peer", ["with_xarray", _VIRTUALIZARR])
@pytest.mark.parametrize("format_", ["kerchunk-json", "kerchunk-parquet"])
@pytest.mark.parametrize("group", ["/units", "/intervals/trials", "/general/extracellular_ephys/electrodes"])
def test_a_group_of_every_real_file_is_equal(peer: str, format_: Format, group: str, tmp_path: Path) -> None:
    found = ask(peer, "references", written(format_, tmp_path, group), tmp_path / "answer")
    assert len(found) > 5
    assert not [(one["file"], one["differences"]) for one in found if one["differences"]]
