"""nwb_dask: references of one remote file, written; nothing is known of the file beforehand."""

from __future__ import annotations

from benchmarks.peers.references_contest import serve
from nwb_dask.options import options
from nwb_dask.references import write_references


def write(url: str, out: str) -> None:
    """Write the references of `url` to `out`."""
    with options(cache="off"):
        write_references(url, out)


if __name__ == "__main__":
    serve(write)
