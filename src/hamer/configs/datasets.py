"""The lists of data sets: training tars and evaluation files, as yaml files beside this module."""

from __future__ import annotations

from pathlib import Path

from hamer.configs.node import ConfigNode
from hamer.configs.reader import read_yaml

_FOLDER = Path(__file__).parent


def dataset_config(name: str = "datasets_tar.yaml") -> ConfigNode:
    """The data sets that a training names: set -> TYPE, URLS of its tars and epoch_size, or DATASET_FILE.

    Args:
        name: a yaml file beside this module, or a path to one of your own.

    Returns:
        a frozen node.
    """
    own = _FOLDER / name
    config = read_yaml(own if own.is_file() else name)
    config.freeze()
    return config


def dataset_eval_config() -> ConfigNode:
    """The data sets of the paper's evaluation: set -> TYPE, DATASET_FILE, IMG_DIR, KEYPOINT_LIST; a frozen node."""
    return dataset_config("datasets_eval.yaml")
