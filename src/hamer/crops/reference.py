"""The reference crop, NumPy and OpenCV 4: the original's numbers at the cost of the crop.

Kept from the original: the box's enlargement, the affine's pixel convention, the blur's sigma and border, bilinear
sampling with zeros outside the picture, mirrored left hands. OpenCV 4 rounds warp positions to 1/32 px and the samples
of an unblurred picture to whole grey levels; OpenCV 5 does the former differently, therefore the package asks for
OpenCV 4. Left out: the blur of the whole picture in float64 for every hand. Only the region that the crop shows is
blurred, in float32 (deviation below 1e-3 grey levels).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hamer.crops import affine, blur
from hamer.crops.batch import CropBatch, check_picture_index, place_in_picture
from hamer.crops.normalisation import IMAGE_MEAN, IMAGE_STD, normalise
from hamer.crops.patches import check_picture, warp_patch
from hamer.crops.windows import check_is_right, check_rotation, crop_windows


def hand_crops(
    image: np.ndarray,
    boxes: Any,
    is_right: Any,
    *,
    rescale_factor: float = 2.0,
    bbox_shape: tuple[int, int] | None = (192, 256),
    size: int = 256,
    mean: tuple[float, ...] = IMAGE_MEAN,
    std: tuple[float, ...] = IMAGE_STD,
) -> CropBatch:
    """Crops of the hands in one picture.

    Args:
        image: RGB uint8 (H, W, 3).
        boxes: (N, 4) xyxy px; may reach outside the picture, which counts as black.
        is_right: (N,) 1 for right hands, 0 for left ones, whose crops are mirrored.
        rescale_factor, bbox_shape: see `crop_windows`.
        size: side of the crop, px.

    Raises:
        ValueError: for what is no RGB picture and for boxes that are not finite or have no area.
    """
    index = np.zeros(len(boxes), np.int64)
    return crop_pictures(
        [image],
        index,
        boxes,
        is_right,
        rescale_factor=rescale_factor,
        bbox_shape=bbox_shape,
        size=size,
        mean=mean,
        std=std,
    )


def crop_pictures(
    pictures: Sequence[np.ndarray],
    picture_index: Any,
    boxes: Any,
    is_right: Any,
    *,
    rescale_factor: float = 2.0,
    bbox_shape: tuple[int, int] | None = (192, 256),
    size: int = 256,
    mean: tuple[float, ...] = IMAGE_MEAN,
    std: tuple[float, ...] = IMAGE_STD,
    rotation: np.ndarray | None = None,
) -> CropBatch:
    """Crops of hands in several pictures: `picture_index` (N,) says which picture a box is in; else as `hand_crops`.

    Args:
        rotation: (N,) degrees, clockwise as seen, by which each crop's square is turned about its centre; None: none is.
    """
    for number, picture in enumerate(pictures):
        check_picture(picture, f"pictures[{number}]")
    check_size(size)
    center, box_size = crop_windows(boxes, rescale_factor=rescale_factor, bbox_shape=bbox_shape)
    right = check_is_right(is_right, len(box_size))
    index = check_picture_index(picture_index, len(box_size), len(pictures))
    turns = check_rotation(rotation, len(box_size))
    img = np.empty((len(box_size), 3, size, size), np.float32)
    img_size = np.empty((len(box_size), 2), np.float64)
    for row, picture_number in enumerate(index.tolist()):
        picture = pictures[picture_number]
        turn = 0.0 if turns is None else float(turns[row])
        patch = crop_patch(picture, center[row], box_size[row], mirrored=right[row] == 0, size=size, rotation=turn)
        img[row] = normalise(patch, mean, std)
        img_size[row] = picture.shape[1], picture.shape[0]
    return CropBatch(img, center, box_size, img_size, right, index, place_in_picture(index), turns)


def crop_patch(
    picture: np.ndarray,
    center: np.ndarray,
    box_size: float,
    *,
    mirrored: bool = False,
    size: int = 256,
    rotation: float = 0.0,
) -> np.ndarray:
    """The square of `box_size` px around `center` (x, y px), turned by `rotation` degrees, as a patch (size, size, C) in grey
    levels.

    uint8 where the picture was not blurred (see `blur.crop_sigma`), else float32.
    """
    matrix = window_transform(center, box_size, picture.shape[1], mirrored=mirrored, size=size, rotation=rotation)
    return warp_patch(picture, matrix, (size, size), mirrored=mirrored, sigma=blur.crop_sigma(box_size, size))


def window_transform(
    center: np.ndarray,
    box_size: float,
    picture_width: int,
    *,
    mirrored: bool,
    size: int = 256,
    rotation: float = 0.0,
) -> np.ndarray:
    """The affine (2, 3) from the picture (the mirrored picture where `mirrored`) to the crop of one window.

    `rotation`: degrees, clockwise as seen in the picture as it is, by which the window is turned about its centre.
    """
    x = picture_width - center[0] - 1 if mirrored else center[0]
    turn = -rotation if mirrored else rotation
    return affine.patch_transform(x, center[1], box_size, box_size, size, size, rotation=turn)


def check_size(size: int) -> None:
    """A ValueError where `size` is no crop's side."""
    if not 1 <= int(size) <= 8192:
        raise ValueError(f"size must be the crop's side in px, 1..8192, got {size}")
