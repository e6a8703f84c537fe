"""A process that knows nothing of a file reads it as if it knew it, where a catalog has planned the read."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import nwb_dask
import nwb_dask.dataframe as dd
from nwb_dask.catalog.shared import indexes
from nwb_dask.cataloguing.catalog import Catalog
from nwb_dask.plan import Partition
from nwb_dask.read import read_partition, scan_sources
from nwb_dask.testing import RangeServer
from tests.budgets.conftest import Fresh
from tests.budgets.knowing import Knowledge

COLUMNS = ["id", "spike_times"]
CANARY = "canary-of-a-catalog"


@pytest.fixture
def catalog(fresh: Fresh, server: RangeServer, tmp_path: Path, knowledge: Knowledge) -> Catalog:
    """A catalog of two remote files, by a process that is gone."""
    urls = [server.url(fresh(layout).name) for layout in ("contiguous", "chunked")]
    made = nwb_dask.build_catalog(urls, tmp_path / "catalog", storage_options={"token": CANARY})
    knowledge.forget()
    return nwb_dask.open_catalog(made.name)


def tasks(catalog: Catalog) -> list[Partition]:
    """Return what workers are sent to read spikes of each file."""
    scan = scan_sources(catalog, "/units", columns=COLUMNS)
    sent = [pickle.dumps(scan.partition(number, fields=scan.fields)) for number in range(scan.n_partitions)]
    assert max(map(len, sent)) < 3000
    return [pickle.loads(one) for one in sent]


def asked(server: RangeServer) -> list[tuple[str, str, str]]:
    return sorted((one.method, one.path, one.headers.get("range", "")) for one in server.log)


def requests_of(server: RangeServer, task: Partition) -> list[tuple[str, str, str]]:
    server.reset()
    assert len(read_partition(task))
    return asked(server)


def test_worker_that_knows_nothing_asks_for_data_only(
    catalog: Catalog, server: RangeServer, knowledge: Knowledge
) -> None:
    for task in tasks(catalog):
        unknown = requests_of(server, task)
        known = requests_of(server, task)
        assert unknown == known
        knowledge.forget()


def test_what_the_catalog_knew_is_kept_for_other_processes(
    catalog: Catalog, server: RangeServer, knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task, _) = tasks(catalog)
    unknown = requests_of(server, task)
    knowledge.keep_what_is_on_disk()
    monkeypatch.setattr(indexes.StoredIndexes, "find", lambda *_: pytest.fail("the catalog was asked again"))
    assert requests_of(server, task) == unknown


def test_catalog_that_is_gone_costs_a_description_and_no_answer(
    catalog: Catalog, server: RangeServer, knowledge: Knowledge
) -> None:
    (task, _) = tasks(catalog)
    few = requests_of(server, task)
    rows = read_partition(task)
    knowledge.forget()
    indexes._places.cache_clear()
    for one in (Path(catalog.name) / "indexes").iterdir():
        one.unlink()
    assert len(requests_of(server, task)) > len(few)
    assert read_partition(task).equals(rows)


def test_damaged_index_in_a_catalog_is_none(catalog: Catalog, server: RangeServer) -> None:
    (task, _) = tasks(catalog)
    (part,) = (Path(catalog.name) / "indexes").iterdir()
    place = catalog.table("places").to_pylist()[0]
    data = bytearray(part.read_bytes())
    data[place["offset"] + place["n_bytes"] // 2] ^= 1
    part.write_bytes(data)
    assert task.indexes is not None
    assert task.indexes.find(task.pieces[0].url) is None  # type: ignore[attr-defined]  # of a catalog
    assert len(requests_of(server, task)) > 1


def test_dask_workers_and_readers_without_a_cache_use_it_too(
    catalog: Catalog, server: RangeServer, knowledge: Knowledge
) -> None:
    wanted = [requests_of(server, task) for task in tasks(catalog)]
    knowledge.forget()
    server.reset()
    with nwb_dask.options(cache="off"):
        frame = dd.read_nwb(catalog, "/units", columns=COLUMNS)
        assert not server.log
        frame.compute()
    assert asked(server) == sorted(one for some in wanted for one in some)


def test_nothing_secret_travels_with_a_task(catalog: Catalog) -> None:
    opened = nwb_dask.open_catalog(catalog.name, storage_options={"token": CANARY})
    frame = dd.read_nwb(opened, "/units", storage_options={"token": CANARY})
    for one in (pickle.dumps(frame.optimize()), pickle.dumps(tasks(opened)), repr(tasks(opened)).encode()):
        assert CANARY.encode() not in one
