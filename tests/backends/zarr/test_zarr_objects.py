"""Objects of more than one dimension, in both orders, as numcodecs writes them."""

from __future__ import annotations

import json
from pathlib import Path

import numcodecs
import numpy as np
import pytest

from tests.backends.zarr.stores import GROUP_V2, array_v2, opened

CODECS = [numcodecs.JSON(), numcodecs.MsgPack(), numcodecs.Pickle(), numcodecs.VLenUTF8()]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.codec_id)
def test_objects_in_two_dimensions_are_where_they_were_written(tmp_path: Path, codec: object, order: str) -> None:
    written = np.array([["a", "bb", "c"], ["d", "", "\u00e9"]], object)
    folder = tmp_path / "x"
    folder.mkdir()
    (tmp_path / ".zgroup").write_text(json.dumps(GROUP_V2))
    document = array_v2([2, 3], "|O", filters=[codec.get_config()], order=order, fill_value="")  # type: ignore[attr-defined]  # it has no types
    (folder / ".zarray").write_text(json.dumps(document))
    (folder / "0.0").write_bytes(codec.encode(np.array(written, order=order)))  # type: ignore[attr-defined, call-overload]  # as above
    with opened(tmp_path) as file:
        found = file.read(file.index("/").arrays["/x"])
    assert [[one.decode() for one in row] for row in found.tolist()] == written.tolist()
