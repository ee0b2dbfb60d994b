"""A training example before its pixels are touched: which part of the picture it shows, and labels changed alike.

`get_example`, tar items and the path that warps on the device share this plan, so that they cannot differ in labels.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from hamer.crops import affine, augmentation
from hamer.crops.augmentation import Augmentation
from hamer.crops.coarse import Coarseness
from hamer.geometry.mirroring import mirror_axis_angle

ExtremeCrop = Callable[..., tuple[float, float, float, float]]


@dataclass(frozen=True)
class Subject:
    """One annotated hand of a picture.

    `center` (x, y) px; `width`, `height` px of the crop's rectangle; `keypoints_2d` (K, 3) px and confidence;
    `keypoints_3d` (K, 4) m, camera frame, and confidence; `mano_params` global_orient (3,), hand_pose (45,), betas (10,).
    """

    center: tuple[float, float]
    width: float
    height: float
    keypoints_2d: np.ndarray
    keypoints_3d: np.ndarray
    mano_params: dict[str, np.ndarray]
    is_right: bool


@dataclass(frozen=True)
class ExamplePlan:
    """What an example shows and says.

    `matrix` (2, 3) float64: picture (mirrored picture where `flip`) to patch, px; `sigma` px: blur before sampling;
    `color_scale` (3,) R, G, B; keypoints_2d (K, 3) in patch widths, origin at the patch's centre; keypoints_3d (K, 4);
    mano_params as in `Subject`, of the hand as the patch shows it; `rotation` of the crop, degrees; `coarseness`: what
    becomes of its pixels, None for nothing.
    """

    matrix: np.ndarray
    flip: bool
    sigma: float
    color_scale: tuple[float, float, float]
    keypoints_2d: np.ndarray
    keypoints_3d: np.ndarray
    mano_params: dict[str, np.ndarray]
    rotation: float = 0.0
    coarseness: Coarseness | None = None


def plan_example(
    subject: Subject,
    picture_width: int,
    patch_size: tuple[int, int],
    change: Augmentation,
    *,
    flip_permutation: Sequence[int],
    antialias: bool = False,
    rng: random.Random | None = None,
    extreme_crop: ExtremeCrop | None = None,
) -> ExamplePlan:
    """The plan of one hand's example under one augmentation.

    Args:
        picture_width: px; mirroring turns about it.
        patch_size: width and height of the patch, px.
        flip_permutation: order of the keypoints after mirroring.
        antialias: blur before sampling, by the original's rule: sigma (f - 1) / 2 where f = patch / crop exceeds 1.1,
            which blurs crops that are enlarged.
        rng: where extreme crops draw the hand's part from; None for Python's `random`.
        extreme_crop: stands for `hamer.crops.augmentation.extreme_crop` (center_x, center_y, width, height, keypoints).

    Raises:
        ValueError: for a rectangle below one pixel.
    """
    width, height = subject.width, subject.height
    if not min(width, height) >= 1:
        raise ValueError(
            f"The crop's width and height must be at least 1 px, got {width:g}x{height:g}: drop such samples"
        )
    (x, y), flip = subject.center, change.flip or not subject.is_right
    if change.extreme_crop:
        crop = extreme_crop or _extreme_crop(change.extreme_crop_level, rng)
        x, y, width, height = crop(x, y, width, height, subject.keypoints_2d)
    x, y = x + width * change.shift_x, y + height * change.shift_y
    matrix = patch_matrix(picture_width, x, y, width, height, *patch_size, flip, change.scale, change.rotation)
    magnification = patch_size[0] / (width * change.scale)
    points_2d = np.asarray(subject.keypoints_2d)
    if flip:
        points_2d = augmentation.flip_keypoints_2d(points_2d, picture_width, flip_permutation)
    points_2d = augmentation.transform_keypoints_2d(points_2d, matrix)
    points_2d[:, :-1] = points_2d[:, :-1] / patch_size[0] - 0.5
    points_3d = np.asarray(subject.keypoints_3d)
    return ExamplePlan(
        matrix=matrix,
        flip=flip,
        sigma=(magnification - 1) / 2 if antialias and magnification > 1.1 else 0.0,
        color_scale=change.color_scale,
        keypoints_2d=points_2d,
        keypoints_3d=augmentation.augment_keypoints_3d(points_3d, flip, change.rotation, flip_permutation),
        mano_params=turned_params(subject.mano_params, change.rotation, flip),
        rotation=change.rotation,
    )


def patch_matrix(
    picture_width: int,
    center_x: float,
    center_y: float,
    width: float,
    height: float,
    patch_width: int,
    patch_height: int,
    flip: bool,
    scale: float,
    rotation: float,
) -> np.ndarray:
    """The affine (2, 3) from the picture, mirrored where `flip`, to the patch; see `hamer.crops.affine.patch_transform`."""
    x = picture_width - center_x - 1 if flip else center_x
    return affine.patch_transform(x, center_y, width, height, patch_width, patch_height, scale, rotation)


def turned_params(params: dict[str, np.ndarray], rotation: float, flip: bool) -> dict[str, np.ndarray]:
    """MANO's parameters of the hand mirrored where `flip`, then seen in a crop turned by `rotation` degrees.

    Mirroring negates y and z of every axis-angle vector; betas stay.
    """
    turned = mirrored_params(params) if flip else dict(params)
    turned["global_orient"] = augmentation.rotate_axis_angle(turned["global_orient"], rotation)
    return turned


def mirrored_params(params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """MANO's parameters of the mirrored hand; every array is a copy."""
    mirrored = {name: np.array(value, copy=True) for name, value in params.items()}
    for name in ("global_orient", "hand_pose"):
        mirrored[name] = mirror_axis_angle(mirrored[name].reshape(-1, 3)).reshape(mirrored[name].shape)
    return mirrored


def _extreme_crop(level: int, rng: random.Random | None) -> ExtremeCrop:
    return partial(augmentation.extreme_crop, level=level, rng=rng)
