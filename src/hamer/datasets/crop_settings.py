"""How training pictures become network input: what a configuration says of crops, read once into plain values."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from hamer.configs.node import ConfigNode
from hamer.crops.normalisation import IMAGE_MEAN, IMAGE_STD
from hamer.crops.upright import UprightDraw
from hamer.crops.windows import RESCALE_FACTOR

logger = logging.getLogger(__name__)

BORDER_MODES = {"constant": cv2.BORDER_CONSTANT, "replicate": cv2.BORDER_REPLICATE}
"""DATASETS.BORDER_MODE: what lies outside the picture."""


@dataclass(frozen=True)
class CropSettings:
    """`size` px; `mean`, `std` of pictures in 0..1, RGB; `bbox_shape`: aspect ratio (width, height) that a box takes, or
    None for the square of its longer side, as in training; `antialias`: the original's blur; `border_mode`: OpenCV's;
    `augment`: DATASETS.CONFIG, or None for crops as they are; `landmarks`, `parts`: items have these labels too
    (`hamer.datasets.extra_labels`); `share_of_box`: how much of a stored box a crop shows, `MODEL.RESCALE_FACTOR` over the
    2.0 that boxes are stored with; `upright`: with MODEL.UPRIGHT, how often and how exactly crops are turned so that a hand whose
    joints are known points up.
    """

    size: int = 256
    mean: tuple[float, ...] = IMAGE_MEAN
    std: tuple[float, ...] = IMAGE_STD
    bbox_shape: tuple[int, int] | None = None
    antialias: bool = False
    border_mode: int = cv2.BORDER_CONSTANT
    augment: Any = None
    landmarks: bool = False
    parts: bool = False
    share_of_box: float = 1.0
    upright: UprightDraw | None = None

    @property
    def levels(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (3,) float32 in grey levels."""
        mean, std = (255.0 * np.asarray(values, np.float64) for values in (self.mean, self.std))
        return mean.astype(np.float32), std.astype(np.float32)

    @classmethod
    def from_cfg(cls, cfg: Any, *, train: bool) -> CropSettings:
        """What MODEL and DATASETS of a configuration say; `train`: with augmentation."""
        model, datasets = section(cfg, "MODEL"), section(cfg, "DATASETS")
        border = str(datasets.get("BORDER_MODE", "constant")).lower()
        if border not in BORDER_MODES:
            raise ValueError(f"DATASETS.BORDER_MODE must be one of {sorted(BORDER_MODES)}, got {border!r}")
        if train and "CONFIG" not in datasets:
            raise ValueError("DATASETS.CONFIG must give the augmentation (SCALE_FACTOR, ROT_FACTOR, ...) for training")
        augment = SimpleNamespace(**datasets["CONFIG"]) if train else None
        upright = UprightDraw.from_config(augment)
        if not model.get("UPRIGHT") and upright != UprightDraw():
            logger.warning("DATASETS.CONFIG.UPRIGHT_RATE and UPRIGHT_JITTER have no effect without MODEL.UPRIGHT")
        return cls(
            size=int(model.get("IMAGE_SIZE", 256)),
            mean=floats(model.get("IMAGE_MEAN", IMAGE_MEAN)),
            std=floats(model.get("IMAGE_STD", IMAGE_STD)),
            bbox_shape=bbox_shape(model.get("BBOX_SHAPE")),
            antialias=bool(datasets.get("USE_SKIMAGE_ANTIALIAS", False)),
            border_mode=BORDER_MODES[border],
            augment=augment,
            landmarks=bool(datasets.get("LANDMARKS", False)),
            parts=bool(datasets.get("PARTS", False)),
            share_of_box=float(model.get("RESCALE_FACTOR") or RESCALE_FACTOR) / RESCALE_FACTOR,
            upright=upright if model.get("UPRIGHT") else None,
        )


def section(cfg: Any, name: str) -> ConfigNode:
    """A part of a configuration (mapping, OmegaConf, attributes) as plain values; empty where it is absent.

    Plain, because an OmegaConf node takes 20 us an access, more than an augmentation's arithmetic.
    """
    node = cfg.get(name) if hasattr(cfg, "get") else getattr(cfg, name, None)
    if node is None:
        return ConfigNode()
    if type(node).__module__.startswith("omegaconf"):
        from hamer.configs.reader import resolve

        node = resolve(node)
    return ConfigNode(node if isinstance(node, Mapping) else vars(node))


def bbox_shape(value: Sequence[int] | None) -> tuple[int, int] | None:
    """MODEL.BBOX_SHAPE as a pair, or None."""
    return None if value is None else (int(value[0]), int(value[1]))


def floats(values: Sequence[float]) -> tuple[float, ...]:
    """A list of a configuration as a tuple of numbers."""
    return tuple(float(v) for v in values)
