"""Reading `model_config.yaml`: interpolations resolved, defaults joined, data paths made findable.

Training saves its configuration with interpolations as they were written (`${MANO.DATA_DIR}/mano`); OmegaConf resolves
them here. Those that only a training run could answer (`${hydra:runtime.cwd}`, an unset environment variable) stay
text.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path, PurePosixPath
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from hamer.assets.places import ORIGINAL_FILES, find_original, original_roots
from hamer.configs.node import ConfigNode

logger = logging.getLogger(__name__)

# What a network needs and an old or short file may leave out; the values of the published training run.
_DEFAULTS: dict[str, Any] = {
    "MODEL": {"IMAGE_SIZE": 256, "IMAGE_MEAN": [0.485, 0.456, 0.406], "IMAGE_STD": [0.229, 0.224, 0.225]},
    "EXTRA": {"FOCAL_LENGTH": 5000, "PELVIS_IND": 0},
    "MANO": {
        "DATA_DIR": "_DATA/data/",
        "MODEL_PATH": "data/mano",
        "MEAN_PARAMS": "data/mano_mean_params.npz",
        "GENDER": "neutral",
        "NUM_HAND_JOINTS": 15,
        "CREATE_BODY_POSE": False,
    },
    "DATASETS": {
        "CONFIG": {
            "SCALE_FACTOR": 0.3,
            "ROT_FACTOR": 30,
            "TRANS_FACTOR": 0.02,
            "COLOR_SCALE": 0.2,
            "ROT_AUG_RATE": 0.6,
            "TRANS_AUG_RATE": 0.5,
            "DO_FLIP": False,
            "FLIP_AUG_RATE": 0.0,
            "EXTREME_CROP_AUG_RATE": 0.0,
            "EXTREME_CROP_AUG_LEVEL": 1,
        }
    },
}
_DATA_FOLDER = "_DATA"

OPEN_HAND = "open"
"""As `MANO.MODEL_PATH`: the hand that comes with the package."""


def default_config() -> ConfigNode:
    """The values that a configuration file may leave out, as a node that can be changed."""
    return ConfigNode(_DEFAULTS).clone()


def data_dir() -> str:
    """The folder of `hamer_ckpts/`, `data/` and `vitpose_ckpts/`: `HAMER_DATA` (or `_DATA` in it), else `./_DATA`."""
    return str(original_roots()[0]) if os.environ.get("HAMER_DATA") else f"./{_DATA_FOLDER}"


def default_checkpoint() -> str:
    """Where the original's checkpoint lies below `data_dir()`; read each time, since HAMER_DATA may be set late."""
    return f"{data_dir()}/{ORIGINAL_FILES['hamer_checkpoint']}"


def data_path(path: str) -> str:
    """Where a path of the configuration lies on this machine.

    Absolute paths are kept. A relative one, with or without a leading `_DATA/`, is searched below `HAMER_DATA`,
    `./_DATA` and the cache's `_DATA` (`hamer.assets.find_original`), then relative to the working directory; where it
    is nowhere, the place below `data_dir()` where it belongs is returned.
    """
    text = str(Path(path).expanduser())
    if Path(text).is_absolute():
        return text
    parts = PurePosixPath(text.replace("\\", "/")).parts
    inside = Path(*(parts[1:] if parts and parts[0] == _DATA_FOLDER else parts))
    found = find_original(inside)
    if found is not None:
        return str(found)
    return text if Path(text).exists() else str(Path(data_dir()) / inside)


def resolve(config: DictConfig) -> dict[str, Any]:
    """`config` as plain dictionaries and lists, every interpolation replaced where it can be."""
    plain = _resolve_node(config)
    assert isinstance(plain, dict)
    return plain


def _resolve_node(node: DictConfig | ListConfig) -> Any:
    keys = range(len(node)) if isinstance(node, ListConfig) else list(node.keys())
    values = [(key, _resolve_value(node, key)) for key in keys]
    return [value for _, value in values] if isinstance(node, ListConfig) else dict(values)


def _resolve_value(node: DictConfig | ListConfig, key: Any) -> Any:
    try:
        value = node[key]
    except (OmegaConfBaseException, ValueError) as error:
        raw = OmegaConf.to_container(node, resolve=False)
        logger.debug("%r stays as written: %s", key, error)
        return raw[key]  # type: ignore[index]
    return _resolve_node(value) if isinstance(value, DictConfig | ListConfig) else value


def read_yaml(path: str | Path) -> ConfigNode:
    """Read a yaml (or JSON) mapping with its interpolations resolved.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a yaml mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no configuration at {path}; it belongs two folders above the checkpoint, as model_config.yaml "
            "(hamer fetch puts both in place)"
        )
    try:
        config = OmegaConf.load(path)
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path} must be a yaml mapping of plain values, and is not: {error}") from error
    if not isinstance(config, DictConfig):
        raise ValueError(f"{path} must be a yaml mapping, got a list; check that it is a model_config.yaml")
    return ConfigNode(resolve(config))


def from_mapping(values: dict[str, Any]) -> ConfigNode:
    """A node from plain (nested) values, as read from a checkpoint or a safetensors header: interpolations resolved."""
    config = OmegaConf.create(values)
    assert isinstance(config, DictConfig)
    return ConfigNode(resolve(config))


def get_config(config_file: str | Path, merge: bool = True, update_cachedir: bool = False) -> ConfigNode:
    """Read a model's configuration file.

    Args:
        config_file: path of a `model_config.yaml`.
        merge: fill what the file leaves out with `default_config()`.
        update_cachedir: make `MANO.MODEL_PATH` and `MANO.MEAN_PARAMS` paths on this machine (`data_path`).

    Returns:
        a frozen node.
    """
    return finish(read_yaml(config_file), merge=merge, update_cachedir=update_cachedir)


def finish(config: ConfigNode, *, merge: bool = True, update_cachedir: bool = False) -> ConfigNode:
    """Join defaults, place the data paths, freeze: what `get_config` does after reading."""
    result = default_config() if merge else ConfigNode()
    result.merge(config.to_dict())
    if update_cachedir and "MANO" in result:
        for key in ("MODEL_PATH", "MEAN_PARAMS"):
            if isinstance(result.MANO.get(key), str) and result.MANO[key] != OPEN_HAND:
                result.MANO[key] = data_path(result.MANO[key])
    result.freeze()
    return result
