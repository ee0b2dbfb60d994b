"""Samples for inference, training and evaluation: the original's data set classes over our crops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

if TYPE_CHECKING:
    from hamer.datasets.creation import create_dataset, create_webdataset
    from hamer.datasets.image_dataset import ImageDataset
    from hamer.datasets.mixture import Mixture
    from hamer.datasets.mocap_dataset import MoCapDataset
    from hamer.datasets.vitdet_dataset import DEFAULT_MEAN, DEFAULT_STD, ViTDetDataset

_HOMES = {
    "DEFAULT_MEAN": "hamer.datasets.vitdet_dataset",
    "DEFAULT_STD": "hamer.datasets.vitdet_dataset",
    "ImageDataset": "hamer.datasets.image_dataset",
    "Mixture": "hamer.datasets.mixture",
    "MoCapDataset": "hamer.datasets.mocap_dataset",
    "ViTDetDataset": "hamer.datasets.vitdet_dataset",
    "create_dataset": "hamer.datasets.creation",
    "create_webdataset": "hamer.datasets.creation",
}

__all__ = [
    "DEFAULT_MEAN",
    "DEFAULT_STD",
    "ImageDataset",
    "Mixture",
    "MoCapDataset",
    "ViTDetDataset",
    "create_dataset",
    "create_webdataset",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
