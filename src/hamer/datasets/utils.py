"""The original's functions for crops of training and inference, under its names (drop-in).

New code takes `hamer.crops`; these keep the original's arguments and results for programs that were written for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hamer.crops import affine, augmentation
from hamer.crops.patches import warp_patch
from hamer.datasets import example
from hamer.errors import PictureError
from hamer.geometry.boxes import expand_to_aspect_ratio

__all__ = [
    "convert_cvimg_to_tensor",
    "do_augmentation",
    "expand_to_aspect_ratio",
    "extreme_cropping",
    "extreme_cropping_aggressive",
    "fliplr_keypoints",
    "fliplr_params",
    "gen_trans_from_patch_cv",
    "generate_image_patch_cv2",
    "get_example",
    "keypoint_3d_processing",
    "mano_param_processing",
    "rot_aa",
    "rotate_2d",
    "trans_point2d",
]

_EXAMPLE_TRUNCATE = 3.0  # sigmas; get_example cuts its kernel earlier than inference does


def do_augmentation(aug_config: Any) -> tuple[float, float, bool, bool, int, list[float], float, float]:
    """A random draw: scale, rotation (degrees), flip, extreme crop, its level, colour scale, shift x, shift y."""
    return augmentation.Augmentation.sample(aug_config).values()


def rotate_2d(pt_2d: np.ndarray, rot_rad: float) -> np.ndarray:
    """A point (2,) turned by `rot_rad` about the origin; float32."""
    sin, cos = np.sin(rot_rad), np.cos(rot_rad)
    return np.array([pt_2d[0] * cos - pt_2d[1] * sin, pt_2d[0] * sin + pt_2d[1] * cos], dtype=np.float32)


def gen_trans_from_patch_cv(
    c_x: float,
    c_y: float,
    src_width: float,
    src_height: float,
    dst_width: float,
    dst_height: float,
    scale: float,
    rot: float,
) -> np.ndarray:
    """The affine (2, 3) from picture to patch: see `hamer.crops.affine.patch_transform`; `rot` in degrees."""
    return affine.patch_transform(c_x, c_y, src_width, src_height, dst_width, dst_height, scale, rot)


def trans_point2d(pt_2d: np.ndarray, trans: np.ndarray) -> np.ndarray:
    """A point (2,) through an affine (2, 3)."""
    return np.asarray(trans)[:, :2] @ np.asarray(pt_2d[:2]) + np.asarray(trans)[:, 2]


def generate_image_patch_cv2(
    img: np.ndarray,
    c_x: float,
    c_y: float,
    bb_width: float,
    bb_height: float,
    patch_width: int,
    patch_height: int,
    do_flip: bool,
    scale: float,
    rot: float,
    border_mode: int = cv2.BORDER_CONSTANT,
    border_value: float = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """A patch (patch_height, patch_width, C) and its affine (2, 3), of the mirrored picture where `do_flip`."""
    matrix = example.patch_matrix(
        img.shape[1], c_x, c_y, bb_width, bb_height, patch_width, patch_height, do_flip, scale, rot
    )
    return _patch(img, matrix, (patch_width, patch_height), do_flip, 0.0, border_mode, border_value), matrix


def _patch(
    img: np.ndarray,
    matrix: np.ndarray,
    size: tuple[int, int],
    flip: bool,
    sigma: float,
    border_mode: int,
    border_value: float = 0,
) -> np.ndarray:
    options: dict[str, Any] = {"mirrored": bool(flip), "sigma": sigma, "truncate": _EXAMPLE_TRUNCATE}
    patch = warp_patch(img, matrix, size, border_mode=border_mode, border_value=border_value, **options)
    if img.shape[2] == 4 and border_mode != cv2.BORDER_CONSTANT:
        # The fourth channel says what is picture: outside it is zero, whatever the colours do.
        patch[:, :, 3:] = warp_patch(np.ascontiguousarray(img[:, :, 3:]), matrix, size, **options)
    return patch


def convert_cvimg_to_tensor(cvimg: np.ndarray) -> np.ndarray:
    """A picture (H, W, C) as (C, H, W) float32 (a NumPy array, the name is the original's)."""
    return np.ascontiguousarray(np.transpose(cvimg, (2, 0, 1))).astype(np.float32)


def fliplr_keypoints(joints: np.ndarray, width: float, flip_permutation: Sequence[int]) -> np.ndarray:
    """Keypoints (K, 2+) px in the mirrored picture, reordered."""
    return augmentation.flip_keypoints_2d(joints, int(width), flip_permutation)


def keypoint_3d_processing(
    keypoints_3d: np.ndarray, flip_permutation: Sequence[int], rot: float, do_flip: bool
) -> np.ndarray:
    """Keypoints (K, 3+) mirrored where asked and turned by `rot` degrees; float32."""
    return augmentation.augment_keypoints_3d(keypoints_3d, do_flip, rot, flip_permutation)


def rot_aa(aa: np.ndarray, rot: float) -> np.ndarray:
    """A global orientation (3,) axis-angle in a crop turned by `rot` degrees; float32."""
    return augmentation.rotate_axis_angle(aa, rot)


def fliplr_params(
    mano_params: dict[str, np.ndarray], has_mano_params: dict[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """MANO's parameters of the mirrored hand: y and z of every axis-angle negated, betas as they are."""
    return example.mirrored_params(mano_params), {n: np.array(v, copy=True) for n, v in has_mano_params.items()}


def mano_param_processing(
    mano_params: dict[str, np.ndarray], has_mano_params: dict[str, Any], rot: float, do_flip: bool
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """MANO's parameters after mirroring (where asked) and turning the crop by `rot` degrees."""
    if do_flip:
        mano_params, has_mano_params = fliplr_params(mano_params, has_mano_params)
    return {**mano_params, "global_orient": rot_aa(mano_params["global_orient"], rot)}, has_mano_params


def extreme_cropping(
    center_x: float, center_y: float, width: float, height: float, keypoints_2d: np.ndarray
) -> tuple[float, float, float, float]:
    """A crop of a larger part of the hand (palm, fingers, a side): centre x, centre y, width, height."""
    return augmentation.extreme_crop(center_x, center_y, width, height, keypoints_2d, level=0)


def extreme_cropping_aggressive(
    center_x: float, center_y: float, width: float, height: float, keypoints_2d: np.ndarray
) -> tuple[float, float, float, float]:
    """A crop of a part of the hand, single fingers included: centre x, centre y, width, height."""
    return augmentation.extreme_crop(center_x, center_y, width, height, keypoints_2d, level=1)


def get_example(
    img_path: str | Path | np.ndarray,
    center_x: float,
    center_y: float,
    width: float,
    height: float,
    keypoints_2d: np.ndarray,
    keypoints_3d: np.ndarray,
    mano_params: dict[str, np.ndarray],
    has_mano_params: dict[str, Any],
    flip_kp_permutation: Sequence[int],
    patch_width: int,
    patch_height: int,
    mean: np.ndarray | None,
    std: np.ndarray | None,
    do_augment: bool,
    is_right: bool,
    augm_config: Any,
    is_bgr: bool = True,
    use_skimage_antialias: bool = False,
    border_mode: int = cv2.BORDER_CONSTANT,
    return_trans: bool = False,
) -> tuple[Any, ...]:
    """A training example: the crop with its keypoints and parameters changed alike.

    Args:
        img_path: file, or picture (H, W, C); center_x, center_y, width, height: the crop's rectangle, px.
        keypoints_2d: (K, 3) px and confidence; keypoints_3d: (K, 4) m, camera frame, and confidence.
        mano_params: global_orient (3,), hand_pose (45,), betas (10,); has_mano_params: flags, handed through.
        flip_kp_permutation: order of the keypoints after mirroring.
        mean, std: in grey levels, in the channel order of the result; None for no normalisation.
        do_augment: draw from `augm_config`; is_right: left hands are mirrored.
        is_bgr: the picture's channels are reversed for the result.
        use_skimage_antialias: blur before sampling; by the original's rule, sigma (f - 1) / 2 where f = patch / crop
            exceeds 1.1, which blurs crops that are enlarged.
        return_trans: give the affine too.

    Returns:
        img (C, patch_height, patch_width) float32; keypoints_2d (K, 3) in crop widths, origin at the crop's centre;
        keypoints_3d (K, 4) float32; mano_params; has_mano_params; img_size (2,) height, width; the affine (2, 3) on
        request. The arguments are left as they are.
    """
    image = _read(img_path)
    values = do_augmentation(augm_config) if do_augment else augmentation.Augmentation().values()
    change = augmentation.Augmentation.from_values(values)
    subject = example.Subject(
        (center_x, center_y), width, height, keypoints_2d, keypoints_3d, mano_params, bool(is_right)
    )
    size = (patch_width, patch_height)
    plan = example.plan_example(
        subject,
        image.shape[1],
        size,
        change,
        flip_permutation=flip_kp_permutation,
        antialias=use_skimage_antialias,
        extreme_crop=extreme_cropping if change.extreme_crop_level == 0 else extreme_cropping_aggressive,
    )
    patch = _patch(image, plan.matrix, size, plan.flip, plan.sigma, border_mode)
    img = _network_input(patch[:, :, ::-1] if is_bgr else patch, plan.color_scale, mean, std)
    has_params = {name: np.array(value, copy=True) for name, value in has_mano_params.items()}
    labels = (plan.keypoints_2d, plan.keypoints_3d, plan.mano_params, has_params)
    result = (img, *labels, np.array(image.shape[:2]))
    return (*result, plan.matrix) if return_trans else result


def _read(picture: str | Path | np.ndarray) -> np.ndarray:
    if isinstance(picture, np.ndarray):
        return picture
    if not isinstance(picture, (str, Path)):
        raise TypeError(f"img_path must be a path or a picture (H, W, C), got {type(picture).__name__}")
    image = cv2.imread(str(picture), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise PictureError(f"{picture} could not be read as a picture: check that it exists and is complete")
    return image


def _network_input(
    patch: np.ndarray, color_scale: Sequence[float], mean: np.ndarray | None, std: np.ndarray | None
) -> np.ndarray:
    """A patch (H, W, C) as (C, H, W) float32: colours scaled, the first three channels normalised."""
    img = augmentation.scale_colors(convert_cvimg_to_tensor(patch), color_scale)
    if mean is not None and std is not None:
        mean_3, std_3 = (np.asarray(v, np.float32)[:3, None, None] for v in (mean, std))
        img[:3] = (img[:3] - mean_3[: len(img)]) / std_3[: len(img)]
    return img
