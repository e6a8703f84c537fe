from __future__ import annotations

from pathlib import Path

import pytest

import nwb_dask
from nwb_dask.catalog.shared import MANIFEST, find_manifest, write_manifest
from nwb_dask.errors import OutputError
from nwb_dask.storage import make_access
from nwb_dask.storage.target import open_target
from nwb_dask.testing import RangeServer
from tests.cataloguing.conftest import CREDENTIALS

OUT = "s3://lab/shared/catalog"


@pytest.mark.slow
def test_catalog_in_a_bucket_is_built_updated_and_read(written: Path, bucket: dict[str, object]) -> None:
    nwb_dask.build_catalog(written / "s0.nwb", OUT, storage_options=bucket)
    made = nwb_dask.build_catalog(written, OUT, storage_options=bucket)
    assert len(made) == 4
    opened = nwb_dask.open_catalog(OUT, storage_options=bucket)
    units = nwb_dask.read_table(opened, "/units")
    assert units.equals(nwb_dask.read_table(written, "/units"))
    # Parts of the catalog before are gone.
    keys = open_target(OUT, make_access(bucket)).keys("")
    assert len([key for key in keys if key.startswith("sessions/")]) == 1


def test_writer_that_comes_second_in_a_bucket_fails_and_harms_nothing(written: Path, bucket: dict[str, object]) -> None:
    nwb_dask.build_catalog(written / "s0.nwb", OUT, storage_options=bucket)
    target = open_target(OUT, make_access(bucket))
    seen = find_manifest(target)
    assert seen is not None
    assert target.read_range(MANIFEST, 2, 9) == target.read(MANIFEST)[0][2:9]
    nwb_dask.build_catalog(written, OUT, storage_options=bucket)
    with pytest.raises(OutputError, match="another process"):
        write_manifest(target, seen)
    assert len(nwb_dask.open_catalog(OUT, storage_options=bucket)) == 4


def test_nothing_secret_is_in_any_byte_of_a_catalog(written: Path, tmp_path: Path) -> None:
    with RangeServer(written) as server:
        url = f"{server.url('s0.nwb')}?X-Amz-Signature=canary-of-a-url&token=canary-of-a-token"
        made = nwb_dask.build_catalog([url], tmp_path / "catalog", storage_options={"token": CREDENTIALS["secret"]})
        assert not len(made.failed)
        names = made.sessions["_nwb_path"].tolist()
        again = nwb_dask.open_catalog(tmp_path / "catalog", sources=[url])
        assert len(nwb_dask.read_table(again, "/units", columns=["id"])) == 5
    assert names == [server.url("s0.nwb")]
    for path in (tmp_path / "catalog").rglob("*"):
        if path.is_file():
            assert b"canary" not in path.read_bytes()
    indexes = made.table("indexes")
    assert indexes.num_rows == 1
    assert b"canary" not in indexes.column("index")[0].as_py()
