"""What a function and its arguments are, as a digest that is the same in every process.

`pickle` names an importable function and leaves its code out; bytes of `cloudpickle` differ from process to process
(cloudpickle#453), as do reprs with addresses and the order of sets. Here code is taken apart: byte code, constants,
defaults, closures, and what it names in its modules, as far as that is the user's own code. What is installed (the
standard library, packages in site-packages) counts by its name, so that an update of numpy computes nothing again.
Docstrings, comments, names of files and numbers of lines do not count. Another minor version of Python has other byte
code.
"""

from __future__ import annotations

import copyreg
import dis
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, cast

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented))
_INSTALLED = ("site-packages", "dist-packages")
_OWN = __name__.partition(".")[0]
_DOCSTRING_FLAG = 0x4000000
"""``CO_HAS_DOCSTRING`` of Python 3.13; before, the first constant of a function is its docstring or None."""
_UNSAID = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__firstlineno__", "__static_attributes__"}
)
"""Attributes of a class that do not say what it does."""


def fingerprint(*values: object) -> str:
    """Return a digest of values and of the code that they lead to.

    Raises
    ------
    TypeError
        If something among them, such as a lock, an open file or a client, has no description that another process would
        give too; the message says where it is.
    """
    return _Walk(_home(values)).digest(values).hex()


def own_modules(*values: object) -> list[ModuleType]:
    """Return the modules of the user's own code that values lead to, without those that are installed."""
    walk = _Walk(_home(values))
    walk.digest(values)
    return [sys.modules[name] for name in sorted(walk.modules - {"__main__"}) if name in sys.modules]


def _home(values: Iterable[object]) -> str:
    """Return the package that the function is from: it is the user's, even where it is installed."""
    for value in values:
        call = value
        while isinstance(call, partial):
            call = call.func
        if callable(call):
            name = getattr(inspect.unwrap(call), "__module__", None) or type(call).__module__
            return str(name).partition(".")[0]
    return ""


class _Walk:
    """One walk over values; those that were seen are not walked over again."""

    def __init__(self, home: str) -> None:
        self._home = home
        self.modules: set[str] = set()
        # With the value, since a number may be that of another value later.
        self._known: dict[int, tuple[object, bytes]] = {}
        self._open: list[int] = []
        self._path: list[str] = []

    def digest(self, value: object, name: str = "") -> bytes:
        """Return the digest of one value, which its holder calls `name`."""
        if isinstance(value, _PLAIN) and type(value) in _PLAIN:
            return _digest(type(value).__name__, repr(value).encode(errors="surrogatepass"))
        if id(value) in self._known:
            return self._known[id(value)][1]
        if id(value) in self._open:
            # How many steps back it is, not where in memory.
            return _digest("cycle", str(len(self._open) - self._open.index(id(value))).encode())
        self._open.append(id(value))
        self._path.append(name)
        try:
            found = _digest(type(value).__name__, *self._parts(value))
        finally:
            self._open.pop()
            self._path.pop()
        self._known[id(value)] = (value, found)
        return found

    def _parts(self, value: object) -> Iterator[bytes]:  # noqa: C901, PLR0912  # one case for each kind
        if isinstance(value, CodeType):
            yield from self._code(value)
        elif isinstance(value, ModuleType):
            yield value.__name__.encode()
        elif isinstance(value, FunctionType):
            yield from self._function(value)
        elif isinstance(value, type):
            yield from self._class(value)
        elif isinstance(value, MethodType):
            yield from (self.digest(value.__func__), self.digest(value.__self__, "self"))
        elif isinstance(value, BuiltinFunctionType):
            of_module = value.__self__ is None or isinstance(value.__self__, ModuleType)
            yield f"{value.__module__}.{value.__qualname__}".encode()
            yield b"" if of_module else self.digest(value.__self__, "self")
        elif isinstance(value, CellType):
            yield self.digest(value.cell_contents) if _is_filled(value) else b"empty"
        elif type(value) in {tuple, list}:
            yield from (self.digest(one, f"[{i}]") for i, one in enumerate(cast("Sequence[object]", value)))
        elif type(value) in {set, frozenset}:
            yield from sorted(self.digest(one) for one in cast("frozenset[object]", value))
        elif type(value) in {dict, MappingProxyType}:
            yield from self._items(cast("Mapping[Any, Any]", value))
        elif isinstance(value, staticmethod | classmethod):
            yield self.digest(value.__func__)
        elif isinstance(value, property):
            yield from (self.digest(one) for one in (value.fget, value.fset, value.fdel))
        else:
            yield from self._object(value)

    def _items(self, values: Mapping[Any, Any]) -> Iterator[bytes]:
        for key, one in values.items():
            yield self.digest(key)
            yield self.digest(one, str(key) if isinstance(key, str) else "")

    def _function(self, function: FunctionType) -> Iterator[bytes]:
        if not self._is_own(function.__module__) and _finds(function):
            yield f"{function.__module__}.{function.__qualname__}".encode()
            return
        self.modules.add(function.__module__)
        yield self.digest(function.__code__, function.__name__)
        yield self.digest(function.__defaults__, f"defaults of {function.__name__}")
        yield self.digest(_sorted(function.__kwdefaults__ or {}), f"defaults of {function.__name__}")
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            yield name.encode()
            yield self.digest(cell, name)
        names = sorted(_global_names(function.__code__))
        attributes = _attribute_names(function.__code__)
        for name in names:
            if name in function.__globals__:
                yield name.encode()
                value = function.__globals__[name]
                yield self.digest(value, name)
                yield from self._used_of(value, attributes)
        if hasattr(function, "__wrapped__"):
            yield self.digest(function.__wrapped__)

    def _used_of(self, value: object, names: Iterable[str]) -> Iterator[bytes]:
        """Give what code may use of a module of the user: what has a name that stands in the code."""
        if isinstance(value, ModuleType) and self._is_own(value.__name__):
            self.modules.add(value.__name__)
            for name in sorted(names):
                if name in vars(value) and not isinstance(vars(value)[name], ModuleType):
                    yield name.encode()
                    yield self.digest(vars(value)[name], name)

    def _class(self, value: type) -> Iterator[bytes]:
        yield value.__qualname__.encode()
        if not self._is_own(value.__module__) and _finds(value):
            yield value.__module__.encode()
            return
        self.modules.add(value.__module__)
        yield from (self.digest(base) for base in value.__bases__)
        for name, one in sorted(vars(value).items()):
            if name in _UNSAID or name.startswith("_abc_") or inspect.ismemberdescriptor(one):
                continue
            yield name.encode()
            yield self.digest(one, name)

    def _code(self, code: CodeType) -> Iterator[bytes]:
        constants = list(code.co_consts)
        if constants and isinstance(constants[0], str) and _has_docstring(code):
            constants[0] = None
        yield code.co_code
        yield getattr(code, "co_exceptiontable", b"")
        yield from (self.digest(one) for one in constants)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        numbers = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & ~_DOCSTRING_FLAG)
        yield repr((names, numbers)).encode()

    def _object(self, value: object) -> Iterator[bytes]:
        kind = type(value)
        tokenize = getattr(value, "__dask_tokenize__", None)
        if callable(tokenize):
            yield from (self.digest(kind), self.digest(tokenize()))
            return
        reduced = self._reduced(value)
        if isinstance(reduced, str):
            yield f"{getattr(value, '__module__', '')}.{reduced}".encode()
            wrapped = getattr(value, "__wrapped__", None)
            yield b"" if wrapped is None else self.digest(wrapped)
            return
        make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        yield from (self.digest(make), self.digest(arguments), self.digest(state, f"state of a {kind.__name__}"))
        yield from (self.digest(one) for one in items or ())
        yield from (self.digest(one) for pair in pairs or () for one in pair)

    def _reduced(self, value: object) -> str | tuple[Any, ...]:
        """Return what pickle would make the value of."""
        reduce: Callable[[Any], Any] = copyreg.dispatch_table.get(type(value)) or (lambda one: one.__reduce_ex__(4))
        try:
            found: str | tuple[Any, ...] = reduce(value)
        except Exception as error:
            where = " > ".join(name for name in self._path if name)
            raise TypeError(
                f"{where or 'an argument'} is a {type(value).__module__}.{type(value).__qualname__}, of which another "
                "process could not tell that it is the same; make it inside of the function, or say code_version=..., "
                "which stands for the code and all that it uses"
            ) from error
        return found

    def _is_own(self, name: str | None) -> bool:
        top = (name or "").partition(".")[0]
        if top in {"", "__main__"}:
            return True
        if top in sys.stdlib_module_names or top == _OWN:
            return False
        module = sys.modules.get(name or "")
        path = getattr(module, "__file__", None)
        return top == self._home or module is None or (path is not None and not _is_installed(path))


def is_installed(module: ModuleType) -> bool:
    """Return whether a module is part of an installed package, rather than a script or a folder of the user."""
    path = getattr(module, "__file__", None)
    top = module.__name__.partition(".")[0]
    return path is None or top in sys.stdlib_module_names or top == _OWN or _is_installed(path)


def _is_installed(path: str) -> bool:
    return any(f"/{name}/" in path.replace("\\", "/") for name in _INSTALLED)


def _digest(kind: str, *parts: bytes) -> bytes:
    found = blake2b(digest_size=16)
    for part in (kind.encode(), *parts):
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.digest()


def _sorted(values: Mapping[str, object]) -> dict[str, object]:
    return {name: values[name] for name in sorted(values)}


def _finds(value: Any) -> bool:  # noqa: ANN401  # a function or class
    """Return whether the name of a function or class leads to it, as it does unless it was made on the way."""
    found: object = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value


def _is_filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # asks
    except ValueError:
        return False
    return True


def _has_docstring(code: CodeType) -> bool:
    if sys.version_info >= (3, 13):
        return bool(code.co_flags & _DOCSTRING_FLAG)
    return bool(code.co_flags & inspect.CO_OPTIMIZED) and not code.co_name.startswith("<")


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _nested(one)


def _global_names(code: CodeType) -> set[str]:
    """Return the names that code, and code inside of it, looks up in its module."""
    loads = {"LOAD_GLOBAL", "LOAD_NAME"}
    return {str(one.argval) for inner in _nested(code) for one in dis.get_instructions(inner) if one.opname in loads}


def _attribute_names(code: CodeType) -> set[str]:
    return {name for inner in _nested(code) for name in inner.co_names}
