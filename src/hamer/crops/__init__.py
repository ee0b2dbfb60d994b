"""Picture to network input and back: affine crop, anti-aliasing, normalisation, mirroring, augmentation.

Two paths with one result: `hand_crops` and `crop_pictures` (NumPy and OpenCV 4, the reference) and `torch_crops` (all
hands of several pictures at once on one device). `reference.py` and `batched.py` say which numbers they keep to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hamer.lazy import lazy_names

if TYPE_CHECKING:
    from hamer.crops.affine import crop_to_picture, picture_to_crop
    from hamer.crops.augmentation import Augmentation
    from hamer.crops.batch import CropBatch
    from hamer.crops.batched import torch_crops
    from hamer.crops.normalisation import IMAGE_MEAN, IMAGE_STD, denormalise, normalise
    from hamer.crops.reference import crop_pictures, hand_crops
    from hamer.crops.windows import crop_windows

_HOMES = {
    "Augmentation": "hamer.crops.augmentation",
    "CropBatch": "hamer.crops.batch",
    "IMAGE_MEAN": "hamer.crops.normalisation",
    "IMAGE_STD": "hamer.crops.normalisation",
    "crop_pictures": "hamer.crops.reference",
    "crop_to_picture": "hamer.crops.affine",
    "crop_windows": "hamer.crops.windows",
    "denormalise": "hamer.crops.normalisation",
    "hand_crops": "hamer.crops.reference",
    "normalise": "hamer.crops.normalisation",
    "picture_to_crop": "hamer.crops.affine",
    "torch_crops": "hamer.crops.batched",
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

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
