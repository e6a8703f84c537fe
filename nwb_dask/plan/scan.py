"""A planned scan: every file+table pair that will be read, with the schema that all of them share."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from nwb_dask.errors import NWBDaskError, PathNotFoundError, PredicateError
from nwb_dask.index import Identity, Url
from nwb_dask.model.field import NWB_PATH, PATH_COLUMNS, TABLE_INDEX, TABLE_PATH, Field, lengths_field, path_fields
from nwb_dask.plan.constants import as_bytes, digest_of, divisions_of, from_bytes, known_values, values_of
from nwb_dask.plan.filters import Filters, parse_filters
from nwb_dask.plan.partition import Partition, Piece
from nwb_dask.plan.predicate import Node, conjuncts, describe
from nwb_dask.plan.prune import may_match, must_match, resolve_path_literals
from nwb_dask.plan.statistics import ColumnStatistics, Statistics, take_statistics

PIECES = pa.schema(
    [
        ("url", pa.string()),
        ("name", pa.string()),
        ("typed", pa.string()),
        ("kind", pa.dictionary(pa.int8(), pa.string())),
        ("value", pa.string()),
        ("size", pa.int64()),
        ("table", pa.dictionary(pa.int32(), pa.string())),
        ("start", pa.int64()),
        ("stop", pa.int64()),
    ]
)
"""Columns of `Scan.pieces`."""


def pieces_table(pieces: Iterable[tuple[Piece, str]]) -> pa.Table:
    """Return pieces, each with the file's name as the user typed it, as the columnar table that `Scan` keeps."""
    rows = [
        (p.url, p.name, typed, p.identity.kind, p.identity.value, p.identity.size, p.table, p.start, p.stop)
        for p, typed in pieces
    ]
    columns = [[row[i] for row in rows] for i in range(len(PIECES))]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, PIECES, strict=True)], schema=PIECES)


@dataclass(frozen=True)
class Scan:
    """Rows of one table (or of several of the same schema) in many files, in source order.

    Nothing is read; a scan is a value that pickles small: 10,000 pairs take about 0.2 MB.
    """

    table: str
    """The table as it was asked for."""
    fields: tuple[Field, ...]
    """Columns in order; session columns and then path columns last, where they are included."""
    pieces: pa.Table = field(repr=False)
    """One row per piece; see `pieces_table`. Those of one table may follow each other, to be known apart."""
    bounds: npt.NDArray[np.int64] = field(repr=False)
    """Partition i is the pieces ``[bounds[i], bounds[i + 1])``."""
    sizes: tuple[tuple[str, int], ...] = field(default=(), repr=False)
    """Stored bytes of each column over all files."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Files that are left out, with the reason of each."""
    access: object = None
    """How to reach the files, without secrets."""
    resolve: tuple[str, ...] | bool = ()
    """Region columns whose targets are joined."""
    constants: pa.Table | None = field(default=None, repr=False)
    """Session columns: one row per piece, a column for each of `fields` that is constant."""
    statistics: Statistics | None = field(default=None, repr=False)
    """What is known of other columns, with an entry per piece. It decides what need not be read, and nothing else:
    it is no part of the token, and is left behind when the scan is pickled."""
    pruned: tuple[tuple[str, int], ...] = ()
    """Conditions, each with the number of pieces that it left out; likewise."""
    indexes: object = None
    """Where a catalog keeps what is known of the files, as in `Partition`; no part of the token."""

    @property
    def n_partitions(self) -> int:
        """Number of partitions."""
        return len(self.bounds) - 1

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        """Rows of each partition before any filter, shape (n_partitions,)."""
        total = np.concatenate(([0], np.cumsum(self.rows_of_pieces)))
        counts: npt.NDArray[np.int64] = np.diff(total[self.bounds])
        return counts

    @property
    def rows_of_pieces(self) -> npt.NDArray[np.int64]:
        """Rows of each piece before any filter, shape (n_pieces,)."""
        return self._column("stop") - self._column("start")

    @cached_property
    def token(self) -> str:
        """A digest of everything that decides the answer: files, their identities, rows and schema."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.table, self.fields, self.access, self.resolve)).encode())
        digest.update(np.ascontiguousarray(self.bounds).tobytes())
        for name in PIECES.names:
            digest.update("\0".join(map(str, self._list(name))).encode())
            digest.update(b"\1")
        if self.constants is not None:
            digest.update(digest_of(self.constants))
        return digest.hexdigest()

    def field(self, name: str) -> Field:
        """Return the field called `name`; path columns are known whether they are included or not.

        Raises
        ------
        PathNotFoundError
            If there is none, with the nearest names.
        """
        for item in (*self.fields, *path_fields()):
            if item.name == name:
                return item
        names = [item.name for item in self.fields]
        near = get_close_matches(name, names, n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has {', '.join(names)}"
        message = f"no column {name!r} in {self.table} of {self._files()}; {hint}"
        raise PathNotFoundError(message, path=self.table)

    def with_lengths(self, *, columns: Sequence[str] | bool) -> Scan:
        """Return the scan with the length of each list of ragged columns as ``<column>.n``, before the path columns.

        Parameters
        ----------
        columns : sequence of str or bool
            Ragged columns; True means all.

        Raises
        ------
        PathNotFoundError
            If there is no such column, it has no lists, or a column has the name of the lengths already.
        """
        if isinstance(columns, bool):
            chosen = [one for one in self.fields if columns and pa.types.is_large_list(one.type)]
        else:
            chosen = [self.field(name) for name in columns]
        taken = {one.name for one in self.fields}
        added = []
        for one in chosen:
            lengths = lengths_field(one)
            if not (one.problem or pa.types.is_large_list(one.type)):
                message = f"lengths={one.name!r}: that column of {self.table} holds {one.type}, and no lists"
                raise PathNotFoundError(message, url=self.names()[0], path=self.table)
            if lengths.name in taken:
                message = f"lengths={one.name!r}: {self.table} has a column {lengths.name!r} of its own"
                raise PathNotFoundError(message, url=self.names()[0], path=self.table)
            added.append(lengths)
        own = [one for one in self.fields if one.name not in PATH_COLUMNS and not one.is_constant]
        return replace(self, fields=(*own, *added, *(one for one in self.fields if one not in own)))

    def label(self, name: str) -> Field:
        """Return the field of the column that labels rows.

        Raises
        ------
        PathNotFoundError
            If there is no such column.
        PredicateError
            If it has no single value in each row.
        """
        found = self.field(name)
        if found.heavy or found.problem:
            reason = found.problem or f"it holds {found.type} in each row"
            message = f"column {name!r} of {self.table} cannot label rows: {reason}"
            raise PredicateError(message, url=self.names()[0], path=self.table)
        return found

    def predicate(self, filters: Filters | None) -> Node | None:
        """Return what the user's filters mean for these columns; the errors of `parse_filters` name file and table."""
        try:
            found = parse_filters(filters, (*self.fields, *path_fields()))
        except NWBDaskError as error:
            raise error.at(url=self.names()[0], path=self.table) from error.__cause__
        return None if found is None else self.canonical(found)

    def partition(
        self,
        number: int,
        *,
        fields: tuple[Field, ...],
        predicate: Node | None = None,
        predicate_fields: tuple[Field, ...] = (),
        limit: int | None = None,
        constants: Collection[str] | None = None,
    ) -> Partition:
        """Return what the task of partition `number` reads, with those of the session columns that it names, or all.

        Pieces that are one run of rows of a table are one.
        """
        first, last = int(self.bounds[number]), int(self.bounds[number + 1])
        pieces: list[Piece] = []
        for piece in (self._piece(i, constants) for i in range(first, last)):
            if pieces and _follows(piece, pieces[-1]):
                pieces[-1] = replace(pieces[-1], stop=piece.stop)
            else:
                pieces.append(piece)
        return Partition(
            tuple(pieces), fields, predicate, predicate_fields, limit, self.access, self.resolve, self.indexes
        )

    def take(self, numbers: Sequence[int] | npt.NDArray[np.intp]) -> Scan:
        """Return the scan of these partitions only, in the order given."""
        numbers = np.asarray(numbers, np.int64)
        spans = [np.arange(self.bounds[i], self.bounds[i + 1]) for i in numbers]
        chosen = np.concatenate(spans) if spans else np.empty(0, np.int64)
        lengths = self.bounds[numbers + 1] - self.bounds[numbers]
        bounds = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        sizes = self._sizes_of(int(self.rows[numbers].sum()))
        return replace(self._of_pieces(chosen, self.pieces), bounds=bounds, sizes=sizes)

    def may_match(self, predicate: Node) -> npt.NDArray[np.bool_]:
        """Tell for each partition whether a row of it may satisfy `predicate`, from what is known unopened."""
        return self.any_piece(self.pieces_that_may_match(predicate))

    def pieces_that_may_match(self, predicate: Node) -> npt.NDArray[np.bool_]:
        """Tell the same for each piece; those without rows have none that does."""
        found = may_match(predicate, self._known, self._statistics, unordered=self._unordered)
        return found & (self.rows_of_pieces > 0)

    def must_match(self, predicate: Node) -> bool:
        """Tell whether all rows satisfy `predicate` in every engine, from what is known unopened."""
        found = must_match(predicate, self._known, self._statistics, unordered=self._unordered)
        return bool((found | (self.rows_of_pieces == 0)).all())

    def without_pieces(self, predicate: Node) -> Scan:
        """Return the scan without those pieces of which no row can satisfy `predicate`.

        There are as many partitions as before: one of which no piece is left keeps the first, of no rows.
        """
        live, pruned = self.rows_of_pieces > 0, []
        for part in conjuncts(predicate):
            left = live & self.pieces_that_may_match(part)
            pruned.append((describe(part), int(live.sum() - left.sum())))
            live = left
        if live.all():
            return self
        first = self.bounds[:-1][~self.any_piece(live) & (np.diff(self.bounds) > 0)]
        kept = live.copy()
        kept[first] = True
        counts = np.concatenate(([0], np.cumsum(kept)))
        emptied = self._until(np.where(live, self._column("stop"), self._column("start")))
        left_out = tuple(one for one in pruned if one[1])
        sizes = self._sizes_of(int(self.rows_of_pieces[live].sum()))
        chosen = self._of_pieces(np.flatnonzero(kept), emptied)
        return replace(chosen, bounds=counts[self.bounds], sizes=sizes, pruned=(*self.pruned, *left_out))

    def first_rows(self, n_rows: int) -> Scan:
        """Return the scan of the first `n_rows` rows; pieces beyond them have none."""
        left = np.maximum(n_rows - (np.cumsum(self.rows_of_pieces) - self.rows_of_pieces), 0)
        if (left >= self.rows_of_pieces).all():
            return self
        kept = np.minimum(left, self.rows_of_pieces)
        statistics = None
        if self.statistics is not None:
            # What was known of a piece that is cut is known of a whole.
            statistics = {name: one.of_parts(np.arange(len(kept))) for name, one in self.statistics.items()}
        return replace(self, pieces=self._until(self._column("start") + kept), statistics=statistics)

    def divisions(self, name: str) -> tuple[object, ...] | None:
        """Return labels that divide the partitions, see `divisions_of`; None if the values of `name` do not."""
        values = self._known.get(name)
        return None if values is None else divisions_of(values, self.bounds)

    def _until(self, stops: npt.NDArray[np.int64]) -> pa.Table:
        """Return the pieces with other last rows."""
        return self.pieces.set_column(PIECES.get_field_index("stop"), "stop", pa.array(stops))

    def _of_pieces(self, chosen: npt.NDArray[np.int64], pieces: pa.Table) -> Scan:
        rows = pa.array(chosen)
        constants = None if self.constants is None else self.constants.take(rows).combine_chunks()
        statistics = None if self.statistics is None else take_statistics(self.statistics, chosen)
        pieces = pieces.take(rows).combine_chunks()
        return replace(self, pieces=pieces, constants=constants, statistics=statistics)

    def _sizes_of(self, n_rows: int) -> tuple[tuple[str, int], ...]:
        """Return the share that so many rows have in the stored bytes."""
        share = n_rows / max(int(self.rows_of_pieces.sum()), 1)
        return tuple((name, int(size * share)) for name, size in self.sizes)

    def any_piece(self, pieces: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Tell for each partition whether something is true of one of its pieces."""
        counts = np.concatenate(([0], np.cumsum(pieces)))
        return np.asarray(np.diff(counts[self.bounds]) > 0, np.bool_)

    @cached_property
    def _known(self) -> dict[str, list[object]]:
        """Columns that have one value in all rows of a piece, by name."""
        paths: dict[str, list[object]] = {NWB_PATH: [*self._list("name")], TABLE_PATH: [*self._list("table")]}
        return paths if self.constants is None else known_values(self.constants) | paths

    @cached_property
    def _statistics(self) -> Statistics:
        """What is known of columns that are none of `_known`; of row numbers, whatever the scan has been given."""
        start, stop = self._column("start"), self._column("stop")
        none, known = np.zeros(len(start), np.int64), np.ones(len(start), np.bool_)
        is_empty = start >= stop
        first, last = pa.array(start, mask=is_empty), pa.array(stop - 1, mask=is_empty)
        # With what is as narrow as float16, engines compare constants in ways of their own.
        narrow = {one.name for one in self.fields if pa.types.is_float16(one.type)}
        given = {name: one for name, one in (self.statistics or {}).items() if name not in narrow | set(self._known)}
        return given | {TABLE_INDEX: ColumnStatistics(first, last, none, none, None, known)}

    @cached_property
    def _unordered(self) -> frozenset[str]:
        """Columns of categories, which have an order of their own, or none."""
        return frozenset(one.name for one in self.fields if one.categories is not None or _is_dictionary(one))

    def canonical(self, predicate: Node) -> Node:
        """Return `predicate` with files written as the user typed them replaced by their `_nwb_path`."""
        names, typed = self._list("name"), self._list("typed")
        spell = {short: name for short, name in zip(typed, names, strict=True) if short != name}
        return resolve_path_literals(predicate, spell)

    def expected_bytes(self, fields: Iterable[Field]) -> int:
        """Return the stored bytes of these columns over all pieces; a filter may need less of the heavy ones."""
        sizes = dict(self.sizes)
        return sum(sizes.get(item.name, 0) for item in fields)

    def names(self) -> list[str]:
        """Return the files in order, as ``_nwb_path`` shows them, one per piece."""
        return self._list("name")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle as one compressed Arrow stream; the token travels so that it is not computed again."""
        steps = np.diff(self.bounds)
        packed = int(steps[0]) if steps.size and (steps == steps[0]).all() else self.bounds.tobytes()
        constants = None if self.constants is None else as_bytes(self.constants)
        rest = (self.table, self.fields, self.sizes, self.skipped, self.access, self.resolve, constants, self.indexes)
        return (_unpickle, (as_bytes(self.pieces), packed, self.n_partitions, rest, self.token))

    def __hash__(self) -> int:
        """Hash by token."""
        return hash(self.token)

    def __eq__(self, other: object) -> bool:
        """Compare by token."""
        return isinstance(other, Scan) and self.token == other.token

    def _column(self, name: str) -> npt.NDArray[np.int64]:
        values: npt.NDArray[np.int64] = self.pieces.column(name).to_numpy()
        return values

    def _list(self, name: str) -> list[str]:
        values: list[str] = self.pieces.column(name).to_pylist()
        return values

    @cached_property
    def _piece_columns(self) -> dict[str, list[object]]:
        return {name: self.pieces.column(name).to_pylist() for name in PIECES.names}

    @cached_property
    def _constant_values(self) -> dict[str, list[object]]:
        return {} if self.constants is None else values_of(self.constants)

    def _piece(self, i: int, constants: Collection[str] | None) -> Piece:
        url, name, _, kind, value, size, table, start, stop = (column[i] for column in self._piece_columns.values())
        identity = Identity(kind, value, size)  # type: ignore[arg-type]  # as `pieces_table` wrote them
        known = self._constant_values.items()
        shared = tuple((one, values[i]) for one, values in known if constants is None or one in constants)
        return Piece(Url(str(url)), str(name), identity, str(table), start, stop, shared)  # type: ignore[arg-type]  # likewise

    def _files(self) -> str:
        names = list(dict.fromkeys(self._list("name")))
        return names[0] if len(names) == 1 else f"{len(names)} files"


def _follows(piece: Piece, before: Piece) -> bool:
    """Whether two pieces are one run of rows."""
    return piece.start == before.stop and replace(before, start=piece.start, stop=piece.stop) == piece


def _is_dictionary(field: Field) -> bool:
    return bool(pa.types.is_dictionary(field.type))


def _unpickle(data: bytes, packed: int | bytes, n_partitions: int, rest: tuple[object, ...], token: str) -> Scan:
    pieces = from_bytes(data)
    if isinstance(packed, bytes):
        bounds = np.frombuffer(packed, np.int64)
    else:
        bounds = np.arange(n_partitions + 1, dtype=np.int64) * packed
    table, fields, sizes, skipped, access, resolve, packed_constants, indexes = rest
    constants = from_bytes(packed_constants) if isinstance(packed_constants, bytes) else None
    scan = Scan(table, fields, pieces, bounds, sizes, skipped, access, resolve, constants, indexes=indexes)  # type: ignore[arg-type]  # from __reduce__
    scan.__dict__["token"] = token
    return scan
