"""Which stores a folder, a prefix and a glob mean."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nwb_dask.storage import expand_sources, make_access
from nwb_dask.testing import RangeServer

FILES = (
    *("a.nwb", "a.lindi.json", "a.nwb.lindi.tar", "c.lindi.d/lindi.json", "d.nwb.zarr.zip"),
    *("b.nwb.zarr/.zgroup", "b.nwb.zarr/.zattrs", "b.nwb.zarr/inner.nwb/.zgroup", "b.nwb.zarr/x/0"),
    *("e.nwb/zarr.json", "sub/f.zarr/zarr.json", "sub/f.zarr/inner.zarr/zarr.json"),
    *("sub/raw.zarr/.zarray", "sub/raw.zarr/0", "sub/g.nwb.zarr/.zgroup"),
)
IN_FOLDER = ["a.nwb", "b.nwb.zarr", "e.nwb", "sub/f.zarr", "sub/g.nwb.zarr"]

pytestmark = pytest.mark.usefixtures("no_cloud")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / "lab" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lab" / name).touch()
    return tmp_path / "lab"


@pytest.fixture
def server(tmp_path: Path, folder: Path) -> Iterator[RangeServer]:
    with RangeServer(tmp_path) as running:
        yield running


def local(folder: Path, pattern: str = "") -> list[str]:
    found = expand_sources(str(folder / pattern), make_access(None))
    return [str(Path(one.url).relative_to(folder)) for one in found]


def remote(server: RangeServer, pattern: str = "") -> list[str]:
    access = make_access({"anon": True, "endpoint_url": server.base_url})
    return [one.url.removeprefix("s3://lab/") for one in expand_sources(f"s3://lab/{pattern}", access)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", IN_FOLDER),
        ("*.zarr", ["b.nwb.zarr"]),
        ("**/*.zarr", ["b.nwb.zarr", "sub/f.zarr", "sub/g.nwb.zarr", "sub/raw.zarr"]),
        ("**/*.nwb", ["a.nwb", "e.nwb"]),
        ("*.lindi.*", ["a.lindi.json", "a.nwb.lindi.tar", "c.lindi.d"]),
        ("*.zip", ["d.nwb.zarr.zip"]),
    ],
)
def test_folders_and_globs_mean_the_same_stores_here_and_in_a_bucket(
    pattern: str, expected: list[str], folder: Path, server: RangeServer
) -> None:
    assert local(folder, pattern) == expected
    assert remote(server, pattern) == expected


def test_a_store_is_one_source_whatever_its_name(folder: Path, server: RangeServer) -> None:
    (folder / "sub" / ".zgroup").touch()
    assert local(folder, "sub") == ["sub"]
    assert remote(server, "sub/") == ["sub/"]
    assert remote(server, "b.nwb.zarr/") == ["b.nwb.zarr"]
    assert remote(server, "c.lindi.d/") == ["c.lindi.d"]


def test_the_chunks_of_a_long_store_are_not_listed(folder: Path, server: RangeServer) -> None:
    for i in range(3000):
        (folder / "b.nwb.zarr" / "x" / f"1.{i}").touch()
    assert remote(server) == IN_FOLDER
    assert len(server.log) == 2
