"""Samples for inference and training: the original's data set classes over our crops."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamer.datasets.vitdet_dataset import DEFAULT_MEAN, DEFAULT_STD, ViTDetDataset

_HOMES = {
    "DEFAULT_MEAN": "vitdet_dataset",
    "DEFAULT_STD": "vitdet_dataset",
    "ViTDetDataset": "vitdet_dataset",
}

__all__ = ["DEFAULT_MEAN", "DEFAULT_STD", "ViTDetDataset"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
