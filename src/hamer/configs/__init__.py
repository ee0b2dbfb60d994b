"""Configurations: experiment files, lists of data sets, and the reader of a checkpoint's `model_config.yaml`."""

from __future__ import annotations

from typing import Any

from hamer.lazy import lazy_names

_HOMES = {
    "ConfigNode": "hamer.configs.node",
    "data_dir": "hamer.configs.reader",
    "data_path": "hamer.configs.reader",
    "dataset_config": "hamer.configs.datasets",
    "dataset_eval_config": "hamer.configs.datasets",
    "default_config": "hamer.configs.reader",
    "get_config": "hamer.configs.reader",
}

__all__ = ["CACHE_DIR_HAMER", *_HOMES]

_lookup, __dir__ = lazy_names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name == "CACHE_DIR_HAMER":  # read each time: HAMER_DATA may be set after the import
        from hamer.configs.reader import data_dir

        return data_dir()
    return _lookup(name)
