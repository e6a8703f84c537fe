"""Writes a document with LINDI for each HDF5 file of a folder; runs in LINDI's environment, and prints what it cannot.

``python lindi_documents.py FOLDER OUT URL``
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import lindi  # in an environment of its own


def main(folder: Path, out: Path, url: str) -> None:
    """Write them; standard output is JSON: file -> what LINDI says of those that it cannot describe."""
    failed = {}
    for path in sorted(
        path for path in folder.rglob("*") if path.suffix in {".nwb", ".h5", ".hdf5"} and path.is_file()
    ):
        name = str(path.relative_to(folder))
        try:
            file = lindi.LindiH5pyFile.from_hdf5_file(str(path), url=f"{url}/{name}")
            file.write_lindi_file(str(out / (name.replace("/", "__") + ".lindi.json")))
        except Exception as exc:  # noqa: BLE001  # whatever it is, it is said
            failed[name] = f"{type(exc).__name__}: {exc}"
    sys.stdout.write(json.dumps(failed))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
