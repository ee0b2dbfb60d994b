"""NumPy's pickled arrays, data types and scalars, rebuilt from checked parts.

NumPy's own `dtype.__setstate__` believes the flags that a file hands it: a forged one makes a later operation read memory as
objects. So a data type is kept as a description here, is built through NumPy's constructor, and array contents must have the
size that shape and data type say.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

_SPECS = re.compile(r"[<>=|]?(\?|[biufcSUaV]\d{0,9}|O\d?)")
"""Booleans, numbers, texts, raw records and objects; no dates, no names that NumPy would look up."""


class DataType:
    """A pickled `numpy.dtype`: how the file calls it, then its state."""

    def __init__(self, spec: Any, align: Any = False, copy: Any = True) -> None:
        text = spec.decode("ascii") if isinstance(spec, bytes) else spec
        if not isinstance(text, str) or not _SPECS.fullmatch(text):
            raise ValueError(f"data type must be a plain number, text or record, got {spec!r}")
        self.spec, self.itemsize = text, 0
        self.order: Any = "="
        self.subarray: Any = None
        self.fields: dict[str, Any] | None = None

    def __setstate__(self, state: Any) -> None:
        """Take byte order and fields of (version, order, subarray, names, fields, ...); sizes and flags follow from them."""
        if not isinstance(state, tuple) or len(state) < 5:
            raise ValueError(f"state of a data type must be a tuple, got {type(state).__name__}")
        self.order = _text(state[1])
        if self.order not in ("<", ">", "=", "|"):
            raise ValueError(f"byte order of a data type must be one of <, >, =, |, got {self.order!r}")
        self.subarray = state[2]
        if state[3] is not None:
            self.fields = {_text(name): state[4][name][:2] for name in state[3]}
            self.itemsize = int(state[5])

    def resolve(self, depth: int = 0) -> np.dtype:
        """The data type, made by NumPy from the description."""
        if depth > 8:
            raise ValueError("data types are nested too deeply")
        if self.subarray is not None:
            base, shape = self.subarray
            return np.dtype((_dtype(base, depth + 1), tuple(int(n) for n in _as_tuple(shape))))
        if self.fields is not None:
            formats = [_dtype(field, depth + 1) for field, _ in self.fields.values()]
            offsets = [int(offset) for _, offset in self.fields.values()]
            layout: Any = {
                "names": list(self.fields),
                "formats": formats,
                "offsets": offsets,
                "itemsize": self.itemsize,
            }
            return np.dtype(layout)
        return np.dtype(self.spec).newbyteorder(self.order)


class Array(np.ndarray):
    """An array whose content comes with the pickle's next step; `to_plain` turns it into a usual one."""

    def __setstate__(self, state: Any) -> None:
        """(version, shape, data type, Fortran order, bytes or list of objects), of old without the version."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise ValueError("state of an array must be a tuple of 4 or 5 parts")
        shape, data_type, is_fortran, content = state[-4:]
        dtype, shape = _dtype(data_type), tuple(int(n) for n in shape)
        content = content.encode("latin1") if isinstance(content, str) else content
        _check_content(content, shape, dtype)
        checked: Any = (1, shape, dtype, bool(is_fortran), content)
        super().__setstate__(checked)


NDARRAY = object()
"""What "numpy.ndarray" means in a file: a mark for `array_shell`, so that the class itself cannot be called."""


def array_shell(subtype: Any, shape: Any, _data_type: Any) -> Array:
    """An empty array whose state follows; the shape is always (0,) in files that NumPy wrote."""
    if subtype is not NDARRAY or tuple(shape) != (0,):
        raise ValueError(f"array must start as an empty ndarray, got {subtype!r} of shape {shape}")
    return np.ndarray.__new__(Array, (0,), np.uint8)


def array_from_buffer(buffer: Any, data_type: Any, shape: Any, order: Any, *_axis_order: Any) -> np.ndarray:
    """How protocol 5 writes a contiguous array."""
    array = np.frombuffer(buffer, dtype=_dtype(data_type))
    return array.reshape(tuple(int(n) for n in shape), order=order).copy(order="A")


def scalar(data_type: Any, data: Any = None) -> Any:
    """A NumPy scalar from its bytes (text when Python 2 wrote it)."""
    dtype = _dtype(data_type)
    raw = data.encode("latin1") if isinstance(data, str) else data
    if dtype.hasobject or not isinstance(raw, bytes) or len(raw) != dtype.itemsize:
        raise ValueError(f"scalar of {dtype} must come as {dtype.itemsize} bytes, got {type(data).__name__}")
    return np.frombuffer(raw, dtype=dtype)[0]


def _dtype(value: Any, depth: int = 0) -> np.dtype:
    if not isinstance(value, DataType):
        raise ValueError(f"a data type was expected, got {type(value).__name__}")
    return value.resolve(depth)


def _check_content(content: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if any(n < 0 for n in shape):
        raise ValueError(f"array shape must not be negative, got {shape}")
    count = math.prod(shape)
    if dtype.hasobject:
        if dtype.kind != "O" or not isinstance(content, list) or len(content) != count:
            raise ValueError(f"array of objects of shape {shape} must come with a list of {count}")
    elif not isinstance(content, bytes) or len(content) != count * dtype.itemsize:
        raise ValueError(f"array of {dtype} of shape {shape} must come with {count * dtype.itemsize} bytes")


def _text(value: Any) -> str:
    text = value.decode("latin1") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise ValueError(f"a text was expected in a data type, got {type(value).__name__}")
    return text


def _as_tuple(shape: Any) -> tuple[Any, ...]:
    return shape if isinstance(shape, tuple) else (shape,)
