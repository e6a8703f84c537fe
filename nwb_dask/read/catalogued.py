"""Plans a scan from a catalog: no file is opened, and the work grows with distinct schemas more than with files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nwb_dask.catalog.shared import SESSIONS, SharedCatalog
from nwb_dask.errors import MalformedFileError, PathNotFoundError
from nwb_dask.model import PATH_COLUMNS, lengths_field
from nwb_dask.model.kinds import RECORDS
from nwb_dask.model.stored_schema import TableSchema, schema_from_row
from nwb_dask.plan.assemble import Holder, Layout, Wish, assemble_layout
from nwb_dask.plan.scan import PIECES, Scan
from nwb_dask.read.catalogued_statistics import CatalogStatistics, KnownPieces, range_rows
from nwb_dask.read.describe import is_glob, normalize_path
from nwb_dask.read.packed_records import unpack_record
from nwb_dask.read.records import Record
from nwb_dask.read.session_columns import catalogued
from nwb_dask.read.suggestions import suggest_tables
from nwb_dask.read.warn import warn_skipped

_Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CatalogRequest:
    """What a scan asks of a catalog; names as in `scan_sources`."""

    tables: tuple[str, ...]
    wish: Wish
    names: frozenset[str] | None
    session: Mapping[str, str]
    """Name of each session column -> the metadata that it has."""
    label: str | None
    """What may be a column, and is a session column where no table has it."""
    missing_table: str
    errors: str
    access: object


def scan_catalog(catalog: SharedCatalog, request: CatalogRequest) -> Scan:
    """Return what `scan_sources` returns for the files of a catalog, as it was when the catalog was built.

    A file that has changed since is an error when it is read.

    Raises
    ------
    PathNotFoundError, SchemaConflictError
        As `scan_sources`.
    SourceNotFoundError
        If the catalog is one of no session.
    MalformedFileError
        If a file could not be read when the catalog was built, unless ``errors="skip"``.
    """
    sessions = catalog.table("sessions")
    if not len(sessions):
        raise catalog.none_left()
    skipped = _failed(catalog, request.errors)
    chosen = _tables(catalog, request.tables)
    n_found = len(sessions) - len(skipped)
    holding = np.unique(chosen.sessions)
    if not len(holding) or (request.missing_table == "raise" and len(holding) < n_found):
        raise _no_table(catalog, request, holding)
    if skipped:
        warn_skipped(skipped, len(sessions))
    codes, digests = _schema_codes(chosen.rows)
    schemas = _schemas(catalog, digests)
    names = sessions.column("_nwb_path")
    holders = [_holder(schema, chosen, codes == i, names, request.names) for i, schema in enumerate(schemas)]
    # In the order in which files have them, which is that of columns.
    order = np.argsort([holder[0] for holder in holders])
    sizes = _Bytes(chosen.rows, codes, schemas, request.names)
    wish, session = request.wish, dict(request.session)
    if request.label is not None and not any(request.label in schema.names for schema in schemas):
        session[request.label] = request.label
    if session:
        # No field of the metadata has the name of a column of the catalog.
        known = sessions.select(["_nwb_path", *sessions.column_names[len(SESSIONS) :]])
        wish = replace(wish, session=catalogued(known, session, wish.table, catalog.name))
    layout = _laid_out(catalog, sessions, chosen, sizes.decoded() if wish.is_sized else None, wish)
    scan = assemble_layout([holders[i][1] for i in order], layout, wish, stored=sizes.stored(), access=request.access)
    return replace(scan, skipped=skipped, statistics=scan_statistics(catalog, scan), indexes=catalog.indexes)


def is_behind_link(catalog: SharedCatalog, tables: Sequence[str]) -> bool:
    """Return whether a table that is asked for may be behind a link in some file, where only the file tells."""
    links = catalog.table("sessions").column("links").drop_null()
    asked = [normalize_path(one) for one in tables]
    return any(
        path == link or path.startswith(f"{link}/") for held in links.to_pylist() for link in held for path in asked
    )


def list_catalog(catalog: SharedCatalog, errors: str) -> dict[str, tuple[str, ...]]:
    """Return the paths of all tables and series, sorted, each with the files that have it."""
    skipped = _failed(catalog, errors)
    if skipped:
        warn_skipped(skipped, catalog.n_sessions)
    numbers = catalog.session_numbers("tables")
    rows = catalog.whole_table("tables")
    names = np.asarray(catalog.table("sessions").column("_nwb_path").to_pylist(), object)
    paths, kinds = _decoded(rows.column("path"))
    found = {}
    for code in np.argsort(kinds):
        held = np.sort(numbers[(paths == code) & (numbers >= 0)])
        if len(held):
            found[kinds[code]] = tuple(names[held].tolist())
    return found


def catalogued_records(catalog: SharedCatalog, errors: str) -> list[tuple[str, Record]]:
    """Return what describes each session, by name, in order, as `records.read_record` has it."""
    skipped = _failed(catalog, errors)
    if skipped:
        warn_skipped(skipped, catalog.n_sessions)
    rows, numbers = catalog.whole_table("records"), catalog.session_numbers("records")
    names = catalog.table("sessions").column("_nwb_path").to_pylist()
    places = np.argsort(numbers, kind="stable")
    places = places[numbers[places] >= 0]
    packed = rows.column("record").take(pa.array(places)).to_pylist()
    return [(names[number], unpack_record(data)) for number, data in zip(numbers[places], packed, strict=True)]


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Rows of ``tables`` that are read, in the order of reading."""

    rows: pa.Table
    sessions: _Rows
    """Number of the session of each row."""


def _failed(catalog: SharedCatalog, errors: str) -> tuple[tuple[str, str], ...]:
    """Return the files that could not be read when the catalog was built, with the reasons."""
    sessions = catalog.table("sessions")
    if sessions.column("error").null_count == len(sessions):
        return ()
    failed = sessions.filter(pc.is_valid(sessions.column("error")))
    found = tuple(zip(failed.column("_nwb_path").to_pylist(), failed.column("error_message").to_pylist(), strict=True))
    if errors == "raise" or len(found) == len(sessions):
        name, reason = found[0]
        many = f" and {len(found) - 1} more files" if len(found) > 1 else ""
        hint = "errors='skip' leaves them out, catalog.find() too; build_catalog tries them again"
        message = f"{name}{many} could not be read when the catalog was built: {reason}; {hint}"
        raise MalformedFileError(message, url=name)
    return found


def _tables(catalog: SharedCatalog, asked: Sequence[str]) -> _Chosen:
    """Return the tables that are asked for: by session, then as `describe.match_tables` has them."""
    numbers = catalog.session_numbers("tables")
    rows = catalog.whole_table("tables")
    codes, paths = _decoded(rows.column("path"))
    ranks = np.full((len(asked), len(paths)), -1, np.int64)
    for i, one in enumerate(asked):
        for rank, code in enumerate(np.argsort(paths)):
            if _matches(paths[code], normalize_path(one)):
                ranks[i, code] = rank
    kept = (ranks[:, codes] >= 0) & (numbers >= 0)
    for i, one in enumerate(asked):
        path = normalize_path(one)
        if is_glob(path) and path in paths:
            # A table that is called so comes first, and alone.
            exact = codes == paths.index(path)
            kept[i] &= exact | ~np.isin(numbers, numbers[exact])
    first = np.argmax(kept, axis=0)
    places = np.flatnonzero(kept.any(axis=0))
    first = first[places]
    order = np.lexsort((ranks[first, codes[places]], first, numbers[places]))
    places = places[order]
    return _Chosen(rows.take(pa.array(places)), numbers[places])


def _matches(path: str, asked: str) -> bool:
    if path == asked:
        return True
    is_possible = is_glob(asked) and path.count("/") == asked.count("/") and path not in RECORDS
    return is_possible and fnmatchcase(path, asked)


def _decoded(column: pa.ChunkedArray) -> tuple[_Rows, list[str]]:
    """Return the codes of a dictionary column and what they stand for."""
    array = column.combine_chunks()
    codes: _Rows = array.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, array.dictionary.to_pylist()


def _schema_codes(rows: pa.Table) -> tuple[_Rows, list[str]]:
    """Return which schema each table has, and the digests of those that occur."""
    codes, digests = _decoded(rows.column("schema"))
    used, numbers = np.unique(codes, return_inverse=True)
    return numbers.astype(np.int64), [digests[code] for code in used]


def _schemas(catalog: SharedCatalog, digests: Sequence[str]) -> list[TableSchema]:
    rows = catalog.table("schemas")
    places = pc.index_in(pa.array(digests, pa.string()), value_set=rows.column("schema").combine_chunks())
    if places.null_count:
        message = f"the catalog {catalog.name} lacks a schema that a table of it has; build it anew with update=False"
        raise MalformedFileError(message, url=catalog.name)
    return [schema_from_row(row) for row in rows.take(places).to_pylist()]


def _holder(
    schema: TableSchema,
    chosen: _Chosen,
    holds: npt.NDArray[np.bool_],
    names: pa.ChunkedArray,
    wanted: frozenset[str] | None,
) -> tuple[int, Holder]:
    """Return the place of the first table with a schema, and that of all of them."""
    first = int(np.argmax(holds))
    columns = {field.name: field for field in schema.fields if wanted is None or field.name in wanted}
    path = chosen.rows.column("path")[first].as_py()
    name = names[int(chosen.sessions[first])].as_py()
    return first, Holder(path, name, columns, schema.names, int(np.count_nonzero(holds)))


def _laid_out(catalog: SharedCatalog, sessions: pa.Table, chosen: _Chosen, decoded: _Rows | None, wish: Wish) -> Layout:
    """Return the pieces, split as `plan.split.split_piece` does."""
    n_rows = chosen.rows.column("n_rows").to_numpy()
    decoded = np.zeros_like(n_rows) if decoded is None else decoded
    steps = n_rows
    if wish.block_bytes is not None:
        is_split = (decoded > wish.block_bytes) & (n_rows > 1)
        steps = np.maximum(1, n_rows * wish.block_bytes // np.maximum(decoded, 1))
        units = chosen.rows.column("chunk_rows").to_numpy()
        units = np.where(units <= steps, units, 1)
        steps = np.where(is_split, steps // units * units, n_rows)
    elif catalog.options.get("statistics"):
        # Ranges of rows of which something is known, each to be left out by itself.
        steps = np.minimum(n_rows, range_rows(catalog))
    n_parts = np.maximum(1, -(-n_rows // np.maximum(steps, 1)))
    tables = np.repeat(np.arange(len(n_rows)), n_parts)
    first = np.concatenate(([0], np.cumsum(n_parts)))
    starts = (np.arange(len(tables)) - first[:-1][tables]) * steps[tables]
    stops = np.minimum(starts + steps[tables], n_rows[tables])
    decoded = (decoded // n_parts)[tables]
    source = sessions.take(pa.array(chosen.sessions[tables]))
    names = source.column("_nwb_path")
    url = source.column("url")
    if catalog.has_other_urls:
        pairs = zip(names.to_pylist(), url.to_pylist(), strict=True)
        url = pa.chunked_array([pa.array([catalog.url_of(name) or one for name, one in pairs], pa.string())])
    columns = {
        "url": url,
        "name": names,
        "typed": names,
        "kind": source.column("identity_kind").cast(PIECES.field("kind").type),
        "value": source.column("identity_value"),
        "size": source.column("size_bytes"),
        # Only the paths that occur.
        "table": chosen.rows.column("path").take(pa.array(tables)).cast(pa.string()).dictionary_encode(),
        "start": pa.array(starts, pa.int64()),
        "stop": pa.array(stops, pa.int64()),
    }
    table = pa.table([columns[field.name] for field in PIECES], schema=PIECES).combine_chunks()
    together = None if wish.block_bytes is not None or len(tables) == len(n_rows) else first.tolist()
    return Layout(table, decoded.tolist(), chosen.sessions[tables].tolist(), n_rows[tables].tolist(), together)


def scan_statistics(catalog: SharedCatalog, scan: Scan) -> CatalogStatistics | None:
    """Return what a catalog says of the pieces of a scan that it has planned; None where names tell no files apart."""
    names = catalog.table("sessions").column("_nwb_path").combine_chunks()
    if len(pc.unique(names)) < len(names):
        return None
    sessions = pc.index_in(scan.pieces.column("name"), value_set=names).to_numpy().astype(np.int64)
    codes, paths = _decoded(scan.pieces.column("table"))
    rows, numbers = catalog.whole_table("tables"), catalog.session_numbers("tables")
    of_tables, every = _decoded(rows.column("path"))
    places = np.array([paths.index(path) if path in paths else -1 for path in every], np.int64)[of_tables]
    keys = np.where((numbers >= 0) & (places >= 0), numbers * len(paths) + places, -1)
    order = np.argsort(keys, kind="stable")
    table = order[np.searchsorted(keys[order], sessions * len(paths) + codes)]
    kinds, digests = _schema_codes(rows.take(pa.array(table)))
    held = [frozenset(field.name for field in schema.fields) for schema in _schemas(catalog, digests)]
    starts, stops = (scan.pieces.column(name).to_numpy() for name in ("start", "stop"))
    fields = [one for one in scan.fields if one.name not in PATH_COLUMNS and not one.is_constant]
    has = {one.stored: np.array([one.stored in names for names in held])[kinds] for one in fields}
    fields += [lengths_field(one) for one in fields if pa.types.is_large_list(one.type)]
    return CatalogStatistics(catalog, KnownPieces(sessions, paths, codes, starts, stops, has), fields)


@dataclass(frozen=True, slots=True)
class _Bytes:
    """Bytes of the columns that are asked for."""

    rows: pa.Table
    codes: _Rows
    """Which of `schemas` each row has."""
    schemas: Sequence[TableSchema]
    names: frozenset[str] | None

    def decoded(self) -> _Rows:
        """Return what each table takes in memory, shape (n_tables,)."""
        found = np.zeros(len(self.rows), np.int64)
        for number, (rows, sizes) in enumerate(self._each("column_decoded_bytes")):
            wanted = [self._is_wanted(field.name) for field in self.schemas[number].fields]
            found[rows] = sizes[:, wanted].sum(axis=1)
        return found

    def stored(self) -> tuple[tuple[str, int], ...]:
        """Return what each column takes in all files."""
        totals: dict[str, int] = {}
        for number, (_, sizes) in enumerate(self._each("column_stored_bytes")):
            for field, size in zip(self.schemas[number].fields, sizes.sum(axis=0).tolist(), strict=True):
                if self._is_wanted(field.name):
                    totals[field.name] = totals.get(field.name, 0) + size
        return tuple(totals.items())

    def _each(self, column: str) -> Iterator[tuple[_Rows, _Rows]]:
        """Yield for each schema its rows and their bytes, shape (n_rows, n_columns)."""
        # A slice of a list array has the values of the whole.
        lists = self.rows.column(column).combine_chunks()
        offsets, values = lists.offsets.to_numpy(), lists.values.to_numpy()
        for number, schema in enumerate(self.schemas):
            rows = np.flatnonzero(self.codes == number)
            yield rows, values[offsets[rows][:, None] + np.arange(len(schema.fields))].astype(np.int64)

    def _is_wanted(self, name: str) -> bool:
        return self.names is None or name in self.names


def _no_table(catalog: SharedCatalog, request: CatalogRequest, holding: _Rows) -> PathNotFoundError:
    sessions = catalog.table("sessions")
    names = sessions.column("_nwb_path").to_pylist()
    valid = np.flatnonzero(pc.is_null(sessions.column("error")).to_numpy(zero_copy_only=False))
    lacking = np.setdiff1d(valid, holding)
    first, label = names[int(lacking[0])], request.wish.table
    if len(holding):
        many = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        holder = names[int(holding[0])]
        message = f"no table {label!r} in {first}{many}; {holder} has it; missing_table='skip' leaves the others out"
        return PathNotFoundError(message, url=first, path=label)
    where = first if len(names) == 1 else f"any of the {len(names)} files of the catalog {catalog.name}"
    known: Mapping[str, Sequence[str]] = list_catalog(catalog.choose(valid), "skip")
    message = f"no table {label!r} in {where}; {suggest_tables(label, known)}"
    return PathNotFoundError(message, url=first, path=label)
