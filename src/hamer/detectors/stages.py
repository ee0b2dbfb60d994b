"""A search for hands that is cut into stages, one network each, so that one can be released before the next is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Network(Protocol):
    """What a stage asks of a backend: it loads its weights on the first call, or by `load`, and can give them back."""

    def load(self) -> Any:
        """Load the weights, if they are not loaded."""
        ...

    def release(self) -> None:
        """Free the weights; the next call loads them again."""
        ...


@dataclass(frozen=True)
class Stage:
    """One network's part of the search: `run(images, results of the stage before)` gives one result a picture."""

    name: str
    network: Network
    run: Callable[[Sequence[np.ndarray], Sequence[Any]], list[Any]]
