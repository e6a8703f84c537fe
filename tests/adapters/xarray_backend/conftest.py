"""Fixtures of the tests of xarray's adapter."""

from __future__ import annotations

import pytest

from nwb_dask.adapters.xarray_backend.axes import blocks


@pytest.fixture
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search stamps in blocks of few rows, as large datasets are searched."""
    monkeypatch.setattr(blocks, "WHOLE_BYTES", 0)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 8)
