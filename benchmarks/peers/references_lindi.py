"""LINDI: references of one remote file, written as its documentation says."""

from __future__ import annotations

import lindi  # in its own environment only

from benchmarks.peers.references_contest import serve


def write(url: str, out: str) -> None:
    """Write the references of `url` to `out`."""
    lindi.LindiH5pyFile.from_hdf5_file(url).write_lindi_file(out)


if __name__ == "__main__":
    serve(write)
