"""Data sets from an entry of a list of data sets, as the original makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hamer.datasets.image_dataset import ImageDataset

_TYPES = {"ImageDataset": ImageDataset}


def create_dataset(cfg: Any, dataset_cfg: Mapping[str, Any], train: bool = True, **kwargs: Any) -> ImageDataset:
    """The annotation file of an entry as a data set.

    Args:
        cfg: the model's configuration.
        dataset_cfg: TYPE, DATASET_FILE, IMG_DIR (see `hamer.configs.dataset_eval_config`).
        train: augment; evaluation takes False.
        kwargs: further arguments of the class (rescale_factor).
    """
    kind, entry = _kind(dataset_cfg, "dataset_file", "img_dir")
    return kind(cfg, **{**entry, "train": train, **kwargs})


def create_webdataset(cfg: Any, dataset_cfg: Mapping[str, Any], train: bool = True) -> Any:
    """The tars of an entry (TYPE, URLS, epoch_size) as a webdataset pipeline."""
    kind, entry = _kind(dataset_cfg, "urls")
    return kind.load_tars_as_webdataset(cfg, **{**entry, "train": train})


def _kind(dataset_cfg: Mapping[str, Any], *needed: str) -> tuple[type[ImageDataset], dict[str, Any]]:
    entry = {str(key).lower(): value for key, value in dataset_cfg.items()}
    name = entry.pop("type", "ImageDataset")
    if name not in _TYPES:
        raise ValueError(f"a data set's TYPE must be one of {sorted(_TYPES)}, got {name!r}")
    missing = [key.upper() for key in needed if key not in entry]
    if missing:
        raise ValueError(f"a data set's entry must give {', '.join(missing)}, it gives {sorted(entry)}")
    return _TYPES[name], entry
