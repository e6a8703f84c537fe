from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

import nwb_dask.dataframe as dd
from nwb_dask.testing import RangeServer
from tests.backends.lindi.documents import array, numbers, opened, values, write_folder

NUMBERS = np.arange(10, dtype="<i4")


def test_a_folder_on_a_server_is_read(tmp_path: Path) -> None:
    refs = {"x/.zarray": array((10,), "<i4"), "x/0": ["./blobs/x/0", 0, 40], **numbers("y", NUMBERS)}
    write_folder(tmp_path / "a.lindi.d", refs, {"blobs/x/0": NUMBERS.tobytes()})
    with RangeServer(tmp_path) as server, opened(server.url("a.lindi.d/")) as file:
        np.testing.assert_array_equal(values(file, "/x"), NUMBERS)
        np.testing.assert_array_equal(values(file, "/y"), NUMBERS)


def test_a_plan_carries_what_stands_for_urls_to_other_processes(tmp_path: Path) -> None:
    (tmp_path / "raw.bin").write_bytes(NUMBERS.tobytes())
    table = {"neurodata_type": "DynamicTable", "namespace": "hdmf-common", "colnames": ["x"], "object_id": "t"}
    refs = {
        "t/.zgroup": {"zarr_format": 2},
        "t/.zattrs": table,
        **numbers("t/id", NUMBERS, neurodata_type="ElementIdentifiers", namespace="hdmf-common"),
        "t/x/.zarray": array((10,), "<i4"),
        "t/x/.zattrs": {"neurodata_type": "VectorData", "namespace": "hdmf-common", "description": ""},
        "t/x/0": ["https://gone.example.org/raw.bin", 0, 40],
    }
    path = write_folder(tmp_path / "a.lindi.d", refs, {})
    remap = {"https://gone.example.org": str(tmp_path)}
    frame = dd.read_nwb(str(path), "/t", storage_options={"remap": remap})
    again = pickle.loads(pickle.dumps(frame))
    assert again.compute(scheduler="synchronous")["x"].tolist() == NUMBERS.tolist()
