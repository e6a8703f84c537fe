"""Secrets that can be recognized, and where they are looked for."""

from __future__ import annotations

import base64
import io
import logging
import traceback
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from dask._expr import Expr
from dask._task_spec import convert_legacy_graph
from distributed.core import collect_causes
from distributed.protocol import pickle

CANARIES: Mapping[str, str] = {
    "key": "AKIACANARYKEY",
    "secret": "canary-secret-of-ten",
    "token": "canary-token-of-ten",
    "header": "canary-header-of-ten",
    "password": "canary-password-of-ten",
    "query": "canary-signature-of-ten",
}
HTTP = {"headers": {"Authorization": f"Bearer {CANARIES['header']}"}}
BASIC = {"username": "someone", "password": CANARIES["password"]}
S3 = {name: CANARIES[name] for name in ("key", "secret", "token")}
QUERY = f"?X-Amz-Signature={CANARIES['query']}"

_LOGGERS = ("", "nwb_dask", "dask", "distributed")
_ZLIB = (b"x\x01", b"x\x9c", b"x\xda")
_ZSTD = b"\x28\xb5\x2f\xfd"
_MOST_STREAMS = 200


def leaks(*things: object) -> set[str]:
    """Return the names of the secrets in texts and bytes: plain, escaped, in base64, in UTF-16, or compressed."""
    found: set[str] = set()
    for thing in things:
        data = thing if isinstance(thing, bytes) else str(thing).encode()
        for layer in (data, *_unpacked(data)):
            found |= {name for name, value in CANARIES.items() if any(form in layer for form in _forms(value))}
    return found


def _forms(value: str) -> Iterator[bytes]:
    yield value.encode()
    yield quote(value, safe="").encode()
    yield value.encode("utf-16-le")
    yield value.encode().hex().encode()
    for lead in range(3):
        # Base64 of a text that the secret is a part of: without the ends, which depend on what is beside it.
        yield base64.b64encode(b"x" * lead + value.encode())[4:-4]


def _unpacked(data: bytes) -> Iterator[bytes]:
    """Yield what is compressed inside."""
    if data[:4] == b"PAR1":
        table = pq.read_table(io.BytesIO(data))
        yield repr((table.to_pylist(), table.schema.metadata)).encode()
        return
    for start in [at for magic in _ZLIB for at in _places(data, magic)]:
        try:
            yield zlib.decompressobj().decompress(data[start:])
        except zlib.error:
            continue
    for start in _places(data, _ZSTD):
        try:
            yield pa.CompressedInputStream(pa.BufferReader(data[start:]), "zstd").read()
        except OSError:
            continue


def _places(data: bytes, magic: bytes) -> Iterator[int]:
    at = data.find(magic)
    for _ in range(_MOST_STREAMS):
        if at < 0:
            return
        yield at
        at = data.find(magic, at + 1)


def leaks_of_files(*folders: Path) -> set[str]:
    """Return the names of the secrets in the names and bytes of all files below some folders."""
    paths = [path for folder in folders for path in folder.rglob("*")]
    return leaks(*map(str, paths), *(path.read_bytes() for path in paths if path.is_file()))


def leaks_of_expression(expr: Expr) -> set[str]:
    """Return the names of the secrets in what an expression of dask is sent as, becomes, is called and looks like."""
    optimized = expr.optimize()
    lowered = expr.lower_completely()
    tasks = [
        (key, task) for one in (optimized, lowered) for key, task in convert_legacy_graph(one.__dask_graph__()).items()
    ]
    seen: list[object] = [*map(pickle.dumps, (expr, optimized, lowered, *tasks)), *map(repr, tasks)]
    for one in (expr, optimized, lowered):
        seen += [repr(one), str(one), one._name, one.tree_repr(), str(one.deterministic_token)]
    return leaks(*seen)


def leaks_of_error(error: BaseException) -> set[str]:
    """Return the names of the secrets in an error, in all that led to it, and in what is sent of it."""
    chain, left = list[BaseException](), [error]
    while left:
        one = left.pop()
        if one not in chain:
            chain.append(one)
            left += [other for other in (one.__cause__, one.__context__) if other is not None]
            left += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
    seen: list[object] = ["".join(traceback.format_exception(error)), *collect_causes(error)]
    for one in chain:
        seen += [str(one), repr(one), repr(one.args), *getattr(one, "__notes__", ()), repr(vars(one))]
    return leaks(pickle.dumps(error), *seen)


class Log(logging.Handler):
    """All that is logged in this process, at every level, until `close`."""

    current: Log | None = None

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._levels: dict[str, int] = {}
        names = [*_LOGGERS, *(name for name in logging.root.manager.loggerDict if name.startswith(_LOGGERS[1:]))]
        for logger in map(logging.getLogger, names):
            self._levels[logger.name] = logger.level
            logger.setLevel(logging.DEBUG)
        for logger in self._heard():
            logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record as text, with the traceback and the arguments."""
        self.lines.append(f"{record.name} {self.format(record)} {record.args!r}")

    def close(self) -> None:
        """Give the loggers back as they were."""
        for logger in self._heard():
            logger.removeHandler(self)
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
        super().close()

    @staticmethod
    def _heard() -> list[logging.Logger]:
        # Loggers of distributed hand nothing on.
        return [logging.getLogger(name) for name in _LOGGERS if not name or not logging.getLogger(name).propagate]


def begin_log() -> None:
    """Keep what this process logs from now on."""
    Log.current = Log()


def end_log() -> list[str]:
    """Return what this process has logged."""
    log, Log.current = Log.current, None
    if log is None:
        return []
    log.close()
    return log.lines
