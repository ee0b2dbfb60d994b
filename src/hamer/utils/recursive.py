"""Tensors in nested containers."""

from __future__ import annotations

from typing import Any

import torch


def recursive_to(x: Any, target: torch.device | str) -> Any:
    """`x` with every tensor inside moved to `target`.

    Dictionaries, lists and tuples are entered and made anew, what is no tensor is left as it is. Tuples become lists,
    as data loaders make them.
    """
    if isinstance(x, dict):
        return {key: recursive_to(value, target) for key, value in x.items()}
    if isinstance(x, torch.Tensor):
        return x.to(target)
    if isinstance(x, (list, tuple)):
        return [recursive_to(value, target) for value in x]
    return x
