"""Pickles read as data: an allow-list of classes, none of which runs code of the file's choosing.

A pickle is a small program that may name any function of any module and call it. Here every name is looked up in a
table; what the table lacks is refused before anything is imported. SciPy's sparse matrices and chumpy's objects,
which the licensed MANO file holds, are read without either package: stand-ins keep their data, and the result holds
plain arrays.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from hamer.checkpoints import numpy_states
from hamer.checkpoints.opcode_walk import check_stream
from hamer.checkpoints.plain import to_plain
from hamer.checkpoints.stand_ins import CHUMPY_CLASSES, SPARSE_CLASSES, StandIn
from hamer.errors import HamerError, UnsafeFileError


class UnreadablePickleError(HamerError, ValueError):
    """A pickle that is cut short, damaged, or no pickle at all."""


def load_pickle(
    source: str | Path | bytes | BinaryIO, *, allow: Mapping[str, Any] | None = None, encoding: str = "latin1"
) -> Any:
    """The content of a pickle, with sparse matrices and chumpy objects as plain NumPy arrays.

    Args:
        source: a path, the bytes, or an open binary file.
        allow: further names, "module.Class" -> what stands for it. Give stand-ins that only keep data: whatever
            is given here the file may call with arguments of its choice.
        encoding: how Python 2 strings are decoded; "latin1" is what NumPy arrays from Python 2 need.

    Raises:
        UnsafeFileError: the file asks for something that is not on the list; nothing was executed.
        UnreadablePickleError: the file is truncated, damaged or no pickle.
        FileNotFoundError: there is no such file.
    """
    if isinstance(source, (str, Path)):
        return _load(Path(source).read_bytes(), f"{source}", allow, encoding)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _load(bytes(source), f"pickle of {len(source)} bytes", allow, encoding)
    return _load(source.read(), str(getattr(source, "name", "pickle")), allow, encoding)


def _load(data: bytes, name: str, allow: Mapping[str, Any] | None, encoding: str) -> Any:
    try:
        check_stream(data)
        return to_plain(AllowListUnpickler(io.BytesIO(data), name=name, allow=allow, encoding=encoding).load())
    except UnsafeFileError:
        raise
    except Exception as error:  # a damaged stream fails in as many ways as there are opcodes
        raise UnreadablePickleError(
            f"{name} must be a complete pickle of arrays and plain containers, but reading it failed with "
            f"{type(error).__name__}: {error}. The file is probably truncated or damaged: fetch or copy it again"
        ) from error


class AllowListUnpickler(pickle.Unpickler):
    """An unpickler that knows only the names in its table.

    Names are whole strings: a dotted name such as "ndarray.tofile" is no way around the table, since no attribute
    is ever looked up. Persistent ids are refused; a subclass that knows its own may override `persistent_load`.
    """

    def __init__(
        self, file: BinaryIO, *, name: str = "pickle", allow: Mapping[str, Any] | None = None, encoding: str = "latin1"
    ) -> None:
        super().__init__(file, encoding=encoding)
        self._name = name
        self._table: dict[str, Any] = {**_TABLE, **(allow or {})}

    def find_class(self, module: str, name: str) -> Any:
        """What the table holds for `module.name`, or an UnsafeFileError that says what the file asked for."""
        full_name = f"{module}.{name}"
        if full_name not in self._table:
            raise UnsafeFileError(
                f"{self._name} asks for {full_name}, which is not on the list of harmless names; nothing was executed. "
                "Expected only arrays, numbers, texts and containers. Do not load this file unless you trust its source"
            )
        return self._table[full_name]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to things outside the file."""
        raise UnsafeFileError(
            f"{self._name} refers to data outside itself (persistent id {pid!r}); nothing was executed"
        )


def _encode(text: str, encoding: str = "utf-8") -> bytes:
    """How Python 3 writes bytes at protocol 2. Two codecs only: others would import modules by name."""
    if encoding not in ("latin1", "latin-1", "utf-8", "utf8"):
        raise ValueError(f"bytes must be encoded as latin1 or utf-8, got {encoding!r}")
    return text.encode(encoding)


def _reconstruct_object(cls: type, base: type, state: Any) -> Any:
    """How protocols 0 and 1 make an instance: only of stand-ins, and only from nothing."""
    if not (isinstance(cls, type) and issubclass(cls, StandIn)) or base is not object or state is not None:
        raise ValueError(f"protocol 0 object of {cls!r} with base {base!r} is not supported")
    return cls()


def _table() -> dict[str, Callable[..., Any]]:
    """Full name -> what is used for it. Nothing in here opens, imports, calls back or looks up attributes."""
    table: dict[str, Any] = {
        "_codecs.encode": _encode,
        "collections.OrderedDict": OrderedDict,
        "numpy.dtype": numpy_states.DataType,
        "numpy.ndarray": numpy_states.NDARRAY,
    }
    for builtin in (set, frozenset, list, dict, tuple, slice, complex, object):
        table[f"builtins.{builtin.__name__}"] = table[f"__builtin__.{builtin.__name__}"] = builtin
    for package in ("numpy.core", "numpy._core"):
        table[f"{package}.multiarray._reconstruct"] = numpy_states.array_shell
        table[f"{package}.multiarray.scalar"] = numpy_states.scalar
        table[f"{package}.numeric._frombuffer"] = numpy_states.array_from_buffer
    for module in ("copy_reg", "copyreg"):
        table[f"{module}._reconstructor"] = _reconstruct_object
    return {**table, **SPARSE_CLASSES, **CHUMPY_CLASSES}


_TABLE = _table()
