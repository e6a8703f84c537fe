"""Zarr stores on a server: what it costs to filter units and read the spikes of a tenth of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nwb_dask
from nwb_dask.backends.zarr import recent
from nwb_dask.testing import RangeServer
from nwb_dask.testing.zarr_sessions import ZarrVersion, write_zarr_session
from tests.budgets.elsewhere import Elsewhere
from tests.budgets.knowing import Knowledge
from tests.budgets.queries import chosen
from tests.budgets.spending import Cost, at_most

FILTER = [("shank", "in", [3, 11])]
"""20 of 200 units, on two shanks: their spikes are in three of 20 chunks."""
N_CHUNKS = 3
OPENING = 2
"""``.zmetadata`` and ``zarr.json``."""
BYTES = 150_000


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, bool], Path]:
    folder = tmp_path_factory.mktemp("zarr")
    kinds: list[tuple[ZarrVersion, bool]] = [(2, True), (3, True), (2, False), (3, False)]
    return {
        (version, is_consolidated): write_zarr_session(
            folder / "bucket" / f"v{version}-{is_consolidated}.nwb.zarr", version, is_consolidated=is_consolidated
        )
        for version, is_consolidated in kinds
    }


def spikes(source: object) -> list[Any]:
    return chosen("pandas", source, "spike_times", FILTER)


@pytest.fixture(autouse=True)
def _nothing_is_known() -> None:
    recent.forget()


@pytest.mark.parametrize("version", [2, 3])
def test_spikes_of_an_unknown_store_cost_two_requests_more_than_their_chunks(
    stores: dict[tuple[int, bool], Path], version: int
) -> None:
    path = stores[version, True]
    local = spikes(path)
    with RangeServer(path.parent) as server:
        # The shanks, the index and the ids come together.
        with at_most(server, Cost(3, OPENING + 3 + N_CHUNKS, BYTES)):
            found = spikes(server.url(path.name))
        assert len(found) == 20
        assert all(np.array_equal(one, other) for one, other in zip(found, local, strict=True))
        with at_most(server, Cost(1, 1 + N_CHUNKS, BYTES)):
            assert len(spikes(server.url(path.name))) == 20


@pytest.mark.parametrize("version", [2, 3])
def test_spikes_of_a_known_store_cost_its_documents_and_their_chunks(
    stores: dict[tuple[int, bool], Path], version: int, elsewhere: Elsewhere, knowledge: Knowledge
) -> None:
    path = stores[version, True]
    with RangeServer(path.parent) as server:
        call = Ask(server.url(path.name))
        elsewhere.ask(knowledge.folder, call)
        knowledge.keep_what_is_on_disk()
        recent.forget()
        with at_most(server, Cost(2, OPENING + N_CHUNKS, BYTES)):
            spikes(server.url(path.name))


@pytest.mark.parametrize(("version", "n_documents"), [(2, 14), (3, 7)])
def test_a_store_that_is_not_consolidated_costs_a_listing_and_its_documents(
    stores: dict[tuple[int, bool], Path], version: int, n_documents: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    path = stores[version, False]
    with RangeServer(path.parent.parent) as server:
        options = {"endpoint_url": server.base_url, "anon": True, "region": "us-east-1"}
        server.reset()
        found = in_bucket(path.name, options)
        assert len(found) == 20
        # Version 2 is found in the second round.
        assert server.n_requests == (OPENING if version == 3 else 2 * OPENING) + 1 + n_documents + 3 + N_CHUNKS


def in_bucket(name: str, options: dict[str, object]) -> list[Any]:
    rows = nwb_dask.read_table(
        f"s3://bucket/{name}", "/units", "arrow", columns=["spike_times"], filters=FILTER, storage_options=options
    )
    return list(rows.column("spike_times").to_pylist())


class Ask:
    """What another process is asked."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self) -> Any:
        return spikes(self.url)
