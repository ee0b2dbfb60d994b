"""Samples for inference and training: the original's data set classes over our crops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

if TYPE_CHECKING:
    from hamer.datasets.vitdet_dataset import DEFAULT_MEAN, DEFAULT_STD, ViTDetDataset

_HOMES = {
    "DEFAULT_MEAN": "hamer.datasets.vitdet_dataset",
    "DEFAULT_STD": "hamer.datasets.vitdet_dataset",
    "ViTDetDataset": "hamer.datasets.vitdet_dataset",
}

__all__ = ["DEFAULT_MEAN", "DEFAULT_STD", "ViTDetDataset"]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
