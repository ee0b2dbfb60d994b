"""Stand-ins for SciPy's and chumpy's objects: they keep the pickled state and turn it into plain arrays.

chumpy (https://github.com/mattloper/chumpy) delays array operations; a pickled object holds the operation's terms.
The classes here repeat what each operation of its `reordering` module means, on data alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_MAX_ENTRIES = 1 << 27
"""Largest array that an object may unfold to (1 GiB of doubles); MANO's regressor has 12,448 entries."""


class StandIn:
    """An object of a class that is not installed: its state as pickled, and nothing else."""

    label = "object"

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __new__(cls) -> StandIn:
        """Take no arguments, so that a pickle cannot hand any over."""
        instance = super().__new__(cls)
        instance.state = {}
        return instance

    def __setstate__(self, state: Any) -> None:
        """Keep what the pickle gives, as data: nothing becomes an attribute."""
        if not isinstance(state, dict):
            raise ValueError(f"{self.label} must come with a dict of terms, got {type(state).__name__}")
        self.state = state

    def array(self, evaluate: Callable[[Any], np.ndarray]) -> np.ndarray:
        """The array that this object means; `evaluate` gives the arrays of its terms."""
        raise ValueError(f"{self.label} means no array")

    def term(self, *names: str) -> Any:
        """The first of `names` that the state holds."""
        for name in names:
            if name in self.state:
                return self.state[name]
        raise ValueError(f"{self.label} lacks its term {names[0]!r}, got {sorted(map(str, self.state))}")


class _Compressed(StandIn):
    """A csc or csr matrix."""

    label = "sparse matrix"
    by_column = True

    def array(self, evaluate: Callable[[Any], np.ndarray]) -> np.ndarray:
        rows, columns = (int(n) for n in self.term("_shape", "shape"))
        _check_size(rows, columns)
        data, indices, starts = (np.asarray(self.term(k)) for k in ("data", "indices", "indptr"))
        n_lines, n_across = (columns, rows) if self.by_column else (rows, columns)
        if len(starts) != n_lines + 1 or len(data) != len(indices) or starts[-1] > len(data):
            raise ValueError(f"sparse matrix of shape {rows} x {columns} has {len(starts)} starts, {len(data)} entries")
        lines = np.repeat(np.arange(n_lines), np.diff(starts))
        dense = np.zeros((n_lines, n_across), data.dtype)
        np.add.at(dense, (lines, indices[: len(lines)]), data[: len(lines)])  # SciPy adds entries that are given twice
        return dense.T.copy() if self.by_column else dense


class _CompressedRows(_Compressed):
    by_column = False


class _Coordinates(StandIn):
    """A coo matrix."""

    label = "sparse matrix"

    def array(self, evaluate: Callable[[Any], np.ndarray]) -> np.ndarray:
        rows, columns = (int(n) for n in self.term("_shape", "shape"))
        _check_size(rows, columns)
        where = self.state["coords"] if "coords" in self.state else (self.term("row"), self.term("col"))
        data = np.asarray(self.term("data"))
        dense = np.zeros((rows, columns), data.dtype)
        np.add.at(dense, tuple(np.asarray(w) for w in where), data)
        return dense


class _Ch(StandIn):
    """chumpy's leaf: an array called x."""

    label = "chumpy.Ch"

    def array(self, evaluate: Callable[[Any], np.ndarray]) -> np.ndarray:
        return evaluate(self.term("x"))


def _operation(name: str, compute: Callable[..., np.ndarray], **defaults: Any) -> type[StandIn]:
    """A stand-in for an operation on the term `a` with further terms (a default of ... means that it must be there)."""

    class Operation(StandIn):
        label = f"chumpy.{name}"

        def array(self, evaluate: Callable[[Any], np.ndarray]) -> np.ndarray:
            terms = {k: self.term(k) if v is ... else self.state.get(k, v) for k, v in defaults.items()}
            return compute(evaluate(self.term("a", "x")), **terms)

    Operation.__name__ = Operation.__qualname__ = name
    return Operation


class _Concatenate(StandIn):
    label = "chumpy.Concatenate"

    def array(self, evaluate: Callable[[Any], np.ndarray]) -> np.ndarray:
        parts = [evaluate(self.term(name)) for name in self.term("dterms")]
        return np.concatenate(parts, axis=int(self.state.get("axis", 0)))


def _select(a: np.ndarray, idxs: Any, preferred_shape: Any) -> np.ndarray:
    picked = a.ravel()[np.asarray(idxs)]
    return picked if preferred_shape is None else picked.reshape(preferred_shape)


def _tile(a: np.ndarray, reps: Any) -> np.ndarray:
    _check_size(a.size, int(np.prod(np.asarray(reps, float))))
    return np.tile(a, reps)


def _repeat(a: np.ndarray, repeats: Any, axis: int | None) -> np.ndarray:
    _check_size(a.size, int(np.max(repeats)))
    return np.repeat(a, repeats, axis)


def _diagonal(a: np.ndarray, k: int) -> np.ndarray:
    _check_size(a.size + abs(int(k)), a.size + abs(int(k)) if a.ndim == 1 else 1)
    return np.diag(a, k)


def _at_least(a: np.ndarray, ndims: int) -> np.ndarray:
    return {1: np.atleast_1d, 2: np.atleast_2d, 3: np.atleast_3d}[int(ndims)](a)


_OPERATIONS: dict[str, type[StandIn]] = {
    "Select": _operation("Select", _select, idxs=..., preferred_shape=None),
    "Reshape": _operation("Reshape", lambda a, newshape: a.reshape(newshape), newshape=...),
    "transpose": _operation("transpose", lambda a, axes: np.transpose(a, axes), axes=None),
    "rollaxis": _operation("rollaxis", lambda a, axis, start: np.rollaxis(a, axis, start), axis=..., start=0),
    "swapaxes": _operation("swapaxes", lambda a, axis1, axis2: np.swapaxes(a, axis1, axis2), axis1=..., axis2=...),
    "Roll": _operation("Roll", lambda a, shift, axis: np.roll(a, shift, axis), shift=..., axis=None),
    "Rot90": _operation("Rot90", lambda a, k: np.rot90(a, k), k=1),
    "Sort": _operation("Sort", lambda a, axis: np.sort(a, axis), axis=-1),
    "Tile": _operation("Tile", _tile, reps=...),
    "Repeat": _operation("Repeat", _repeat, repeats=..., axis=None),
    "Diag": _operation("Diag", _diagonal, k=0),
    "DiagFlat": _operation("DiagFlat", lambda a, k: _diagonal(a.ravel(), k), k=0),
    "AtleastNd": _operation("AtleastNd", _at_least, ndims=...),
    "Concatenate": _Concatenate,
}

CHUMPY_CLASSES: dict[str, type[StandIn]] = {
    "chumpy.ch.Ch": _Ch,
    "chumpy.Ch": _Ch,
    **{f"chumpy.reordering.{name}": stand_in for name, stand_in in _OPERATIONS.items()},
}

SPARSE_CLASSES: dict[str, type[StandIn]] = {
    f"scipy.sparse{module}.{kind}_{suffix}": stand_in
    for kind, stand_in in (("csc", _Compressed), ("csr", _CompressedRows), ("coo", _Coordinates))
    for module in ("", f".{kind}", f"._{kind}")
    for suffix in ("matrix", "array")
}


def _check_size(rows: int, columns: int) -> None:
    if rows < 0 or columns < 0 or rows * columns > _MAX_ENTRIES:
        raise ValueError(f"array of {rows} x {columns} entries is larger than anything a hand model holds")
