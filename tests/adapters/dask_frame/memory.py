"""Tables in memory behind a real scan: the expression layer is tested without files."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from nwb_dask.adapters.pandas_frame.convert import to_pandas
from nwb_dask.index import Identity, Url
from nwb_dask.model.field import NWB_PATH, TABLE_INDEX, TABLE_PATH, Field, path_fields
from nwb_dask.plan.partition import Partition, Piece
from nwb_dask.plan.scan import Scan, pieces_table
from nwb_dask.read import MaskFunction
from tests.plan.known_pieces import statistics_of

TABLE = "/units"
FIELDS = (
    Field("id", pa.int64()),
    Field("x", pa.int32()),
    Field("n", pa.int64(), nullable=True),
    Field("rate", pa.float64()),
    Field("snr", pa.float32(), nullable=True),
    Field("quality", pa.string(), nullable=True),
    Field("name", pa.string()),
    Field("flag", pa.bool_()),
    Field("maybe", pa.bool_(), nullable=True),
    Field("area", pa.dictionary(pa.int32(), pa.string()), nullable=True, categories=("CA1", "VISp", "TH")),
    Field("spike_times", pa.list_(pa.float64()), heavy=True),
    Field("waveform", pa.list_(pa.float32(), 3), heavy=True),
)
ALL_FIELDS = (*FIELDS, *path_fields())


@dataclass
class Memory:
    """Tables by URL, and a log of what was read of them."""

    tables: dict[str, pa.Table] = field(default_factory=dict)
    log: list[tuple[str, tuple[str, ...], int]] = field(default_factory=list)
    """File, columns, rows: one entry per piece that was opened."""

    def read(self, partition: Partition, mask: MaskFunction | None) -> pa.Table:
        """Do as `nwb_dask.read.read_partition` does."""
        parts, left = [], partition.limit
        for piece in partition.pieces:
            if left is not None and left <= 0:
                break
            rows = self.tables[piece.url].slice(piece.start, piece.stop - piece.start)
            if partition.predicate is not None and mask is not None:
                light = rows.select([f.name for f in partition.predicate_fields])
                kept = mask(partition.predicate, light, partition.predicate_fields)
                rows = rows.filter(pa.array(kept))
            rows = rows.slice(0, left)
            left = None if left is None else left - len(rows)
            names = tuple(f.name for f in partition.fields)
            self.log.append((piece.name, names, len(rows)))
            parts.append(rows.select(list(names)))
        schema = pa.schema([(f.name, f.type) for f in partition.fields])
        return pa.concat_tables([schema.empty_table(), *parts])

    @property
    def columns_read(self) -> set[str]:
        """All columns that were read so far, but the row numbers."""
        return {name for _, names, _ in self.log for name in names} - {TABLE_INDEX}

    @property
    def rows_read(self) -> int:
        """Rows that came out of all reads so far."""
        return sum(rows for _, _, rows in self.log)

    @property
    def files_read(self) -> set[str]:
        """Base names of the files that were opened so far."""
        return {Path(name).name for name, _, _ in self.log}


def make_table(name: str, n_rows: int, seed: int) -> pa.Table:
    """Return a table with every kind of column, with NaN, null and empty text in it."""
    rng = np.random.default_rng(seed)

    def some(values: list[object]) -> list[object]:
        return [values[i] for i in rng.integers(0, len(values), n_rows)]

    columns: dict[str, object] = {
        "id": np.arange(n_rows) + 100 * seed,
        "x": rng.integers(-3, 6, n_rows),
        "n": some([None, 0, 1, 2, 7]),
        "rate": some([float("nan"), 0.0, 0.5, 2.5, 7.0, -1.0, float("inf")]),
        "snr": some([None, float("nan"), 0.1, 1.5, 3.0]),
        "quality": some([None, "", "good", "mua", "GOOD", "noise é"]),
        "name": some(["", "a", "ab", "b.", "unit 1"]),
        "flag": some([True, False]),
        "maybe": some([True, False, None]),
        "area": some(["CA1", "VISp", "TH", None]),
        "spike_times": [rng.random(k).tolist() for k in rng.integers(0, 4, n_rows)],
        "waveform": rng.random((n_rows, 3)).tolist(),
        NWB_PATH: [name] * n_rows,
        TABLE_PATH: [TABLE] * n_rows,
        TABLE_INDEX: np.arange(n_rows),
    }
    arrays = []
    for one in ALL_FIELDS:
        if pa.types.is_dictionary(one.type):
            arrays.append(pa.array(columns[one.name], pa.string()).dictionary_encode())
        else:
            arrays.append(pa.array(columns[one.name], one.type))
    return pa.Table.from_arrays(arrays, schema=pa.schema([(f.name, f.type) for f in ALL_FIELDS]))


def make_scan(memory: Memory, lengths: list[int], *, pack: int = 1, seed: int = 0) -> Scan:
    """Return a scan over files of these lengths, `pack` of them per partition."""
    pieces = []
    for number, n_rows in enumerate(lengths):
        name = f"/data/ses-{number}.nwb"
        memory.tables[name] = make_table(name, n_rows, seed + number + 1)
        identity = Identity("mtime", f"1:{number}", 1000)
        pieces.append((Piece(Url(name), name, identity, TABLE, 0, n_rows), f"ses-{number}.nwb"))
    bounds = np.array([*range(0, len(lengths), pack), len(lengths)], np.int64)
    sizes = tuple((f.name, 1_000_000 if f.heavy else 1_000) for f in FIELDS)
    return Scan(TABLE, ALL_FIELDS, pieces_table(pieces), bounds, sizes)


def in_known_ranges(memory: Memory, scan: Scan, n_rows: int) -> Scan:
    """Return the scan with its tables in ranges of at most `n_rows` rows, and the statistics of each range."""
    pieces, bounds = [], [0]
    for number in range(scan.n_partitions):
        for whole in scan.partition(number, fields=()).pieces:
            starts = range(whole.start, max(whole.stop, whole.start + 1), n_rows)
            pieces += [replace(whole, start=start, stop=min(start + n_rows, whole.stop)) for start in starts]
        bounds.append(len(pieces))
    lengths = [piece.stop - piece.start for piece in pieces]
    rows = pa.concat_tables(
        [memory.tables[p.url].slice(p.start, p.stop - p.start) for p in pieces]
    ).unify_dictionaries()
    ends = np.concatenate(([0], np.cumsum(lengths)))
    statistics = {
        one.name: statistics_of(rows.column(one.name).combine_chunks(), ends) for one in FIELDS if not one.heavy
    }
    typed = dict(zip(scan.names(), scan.pieces.column("typed").to_pylist(), strict=True))
    table = pieces_table((piece, typed[piece.name]) for piece in pieces)
    return replace(scan, pieces=table, bounds=np.array(bounds, np.int64), statistics=statistics)


def whole_frame(memory: Memory, scan: Scan) -> pd.DataFrame:
    """Return all rows as pandas has them, by the conversion alone."""
    urls = scan.pieces.column("url").to_pylist()
    frames = [
        to_pandas(memory.tables[url], ALL_FIELDS, np.arange(len(memory.tables[url]), dtype=np.int64)) for url in urls
    ]
    return pd.concat(frames)
