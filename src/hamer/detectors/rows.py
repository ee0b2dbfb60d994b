"""Things that a detector knows as parallel arrays, one row each."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import Self


class Rows:
    """Base of dataclasses whose every field has a row for each of N things."""

    def __len__(self) -> int:
        return len(self._columns()[0])

    def __getitem__(self, index: slice | np.ndarray) -> Self:
        """The things that `index` (slice, integer array or boolean mask) selects."""
        return type(self)(*(column[index] for column in self._columns()))

    def _columns(self) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]  # type: ignore[arg-type]
