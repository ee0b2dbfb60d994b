"""What an unpickler made of stand-ins, turned into plain Python and NumPy."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from hamer.checkpoints.numpy_states import Array, DataType
from hamer.checkpoints.stand_ins import StandIn


def to_plain(value: Any) -> Any:
    """`value` with each stand-in inside dicts, lists, tuples and arrays of objects replaced by what it means."""
    return _Plain().convert(value)


class _Plain:
    """One conversion; an object that the file shares between places is computed once."""

    def __init__(self) -> None:
        self._arrays: dict[int, np.ndarray | None] = {}  # None while being computed

    def convert(self, value: Any) -> Any:
        if isinstance(value, DataType):
            return value.resolve()
        if isinstance(value, StandIn):
            return self._array(value)
        if isinstance(value, Array):
            return self._usual(value)
        if type(value) in (dict, OrderedDict):
            return type(value)((key, self.convert(item)) for key, item in value.items())
        if type(value) in (list, tuple):
            return type(value)(self.convert(item) for item in value)
        return value

    def _usual(self, value: Array) -> np.ndarray:
        array = value.view(np.ndarray)
        if array.dtype.hasobject:
            for position, item in enumerate(array.flat):
                array.flat[position] = self.convert(item)
        return array

    def _array(self, value: StandIn) -> np.ndarray:
        if id(value) not in self._arrays:
            self._arrays[id(value)] = None
            self._arrays[id(value)] = np.asarray(value.array(self._evaluate))
        array = self._arrays[id(value)]
        if array is None:
            raise ValueError(f"{value.label} contains itself")
        return array

    def _evaluate(self, term: Any) -> np.ndarray:
        array = np.asarray(self.convert(term))
        if array.dtype.hasobject:
            raise ValueError(f"an array of numbers was expected inside a chumpy object, got dtype {array.dtype}")
        return array
