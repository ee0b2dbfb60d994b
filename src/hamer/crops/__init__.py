"""Picture to network input and back: affine crop, anti-aliasing, normalisation, mirroring, augmentation.

Two paths with one result: `hand_crops` and `crop_pictures` (NumPy and OpenCV 4, the reference) and `torch_crops` (all
hands of several pictures at once on one device). `reference.py` and `batched.py` say which numbers they keep to.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hamer.crops.affine import crop_to_picture, picture_to_crop
    from hamer.crops.augmentation import Augmentation
    from hamer.crops.batch import CropBatch
    from hamer.crops.batched import torch_crops
    from hamer.crops.normalisation import IMAGE_MEAN, IMAGE_STD, denormalise, normalise
    from hamer.crops.reference import crop_pictures, hand_crops
    from hamer.crops.windows import crop_windows

_HOMES = {
    "Augmentation": "augmentation",
    "CropBatch": "batch",
    "IMAGE_MEAN": "normalisation",
    "IMAGE_STD": "normalisation",
    "crop_pictures": "reference",
    "crop_to_picture": "affine",
    "crop_windows": "windows",
    "denormalise": "normalisation",
    "hand_crops": "reference",
    "normalise": "normalisation",
    "picture_to_crop": "affine",
    "torch_crops": "batched",
}

__all__ = [
    "IMAGE_MEAN",
    "IMAGE_STD",
    "Augmentation",
    "CropBatch",
    "crop_pictures",
    "crop_to_picture",
    "crop_windows",
    "denormalise",
    "hand_crops",
    "normalise",
    "picture_to_crop",
    "torch_crops",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
