"""A person's box to network input: padded to the network's shape, enlarged by a quarter, warped without rotation.

The rules and their rounding are those of the top-down pipeline that HaMeR runs (simple baselines, Xiao et al. 2018, not
the unbiased variant): a box counts its last pixel, and crop coordinate 96, 128 of 192 x 256 is the box's centre.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from hamer.crops.normalisation import IMAGE_MEAN, IMAGE_STD
from hamer.detectors.pictures import check_pictures

WIDTH, HEIGHT = 192, 256
_STANDARD = np.float32(200)  # scales are in units of so many pixels, a habit of MPII
_PADDING = np.float32(1.25)


def check_person_boxes(boxes: Any, name: str = "person_boxes") -> np.ndarray:
    """`boxes` as float32 (P, 4) xyxy px, or a ValueError that names the box that is none.

    A box may reach outside the picture or lie outside, and may be as small as a point.
    """
    array = np.asarray(boxes, dtype=np.float32)
    if array.size == 0:
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"{name} must have shape (P, 4), xyxy px, got {array.shape}; leave scores out")
    for index, box in enumerate(array):
        if not np.isfinite(box).all():
            raise ValueError(f"{name}[{index}] must be finite x0, y0, x1, y1, got {box.tolist()}; leave such boxes out")
        if box[2] < box[0] or box[3] < box[1]:
            raise ValueError(f"{name}[{index}] must be x0, y0, x1, y1 with x1 >= x0 and y1 >= y0, got {box.tolist()}")
    return array


def centers_and_scales(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre (P, 2) px and size (P, 2) in units of 200 px of what the crops of `boxes` (P, 4) show, float32.

    The shorter side is grown to the crop's shape and both by a quarter.
    """
    x0, y0, x1, y1 = boxes.astype(np.float32).T
    width, height = x1 - x0 + np.float32(1), y1 - y0 + np.float32(1)
    centers = np.stack([x0 + width * np.float32(0.5), y0 + height * np.float32(0.5)], axis=-1)
    ratio = np.float32(WIDTH / HEIGHT)
    wide = width > ratio * height
    sides = np.stack([np.where(wide, width, height * ratio), np.where(wide, width / ratio, height)], axis=-1)
    return centers, sides / _STANDARD * _PADDING


def crop_matrix(center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The affine (2, 3) float64 from picture to crop, for one centre (2,) and scale (2,).

    Solved from three float32 points as the original does, so that its rounding is ours: the centre, the point half a
    width above it, and the corner left of that.
    """
    half = scale[0] * _STANDARD * np.float32(0.5)
    up, left = np.array([0, -half], np.float32), np.array([-half, 0], np.float32)
    source = np.stack([center, center + up, center + up + left]).astype(np.float32)
    middle = (WIDTH / 2, HEIGHT / 2)
    target = np.array([middle, (middle[0], middle[1] - WIDTH / 2), (0, middle[1] - WIDTH / 2)], np.float32)
    return cv2.getAffineTransform(source, target)


def person_crop(image: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """What the network sees of a person, (256, 192, 3) uint8; black outside the picture.

    Args:
        image: RGB uint8 (H, W, 3).
        center, scale: of `centers_and_scales`, (2,) each.
    """
    return cv2.warpAffine(image, crop_matrix(center, scale), (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)


def network_input(crops: Tensor) -> Tensor:
    """Crops (P, 256, 192, 3) RGB uint8 as normalised float32 (P, 3, 256, 192), on their device."""
    mean, std = (torch.tensor(numbers, device=crops.device).view(1, 3, 1, 1) for numbers in (IMAGE_MEAN, IMAGE_STD))
    return crops.permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std).contiguous()


def check_pictures_and_boxes(
    images: list[np.ndarray], person_boxes: list[Any]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures and one box array for each, checked."""
    images = check_pictures(images)
    if len(person_boxes) != len(images):
        raise ValueError(
            f"person_boxes must have one (P, 4) array a picture, got {len(person_boxes)} for {len(images)} pictures"
        )
    boxes = [check_person_boxes(boxes, f"person_boxes[{index}]") for index, boxes in enumerate(person_boxes)]
    return images, boxes
