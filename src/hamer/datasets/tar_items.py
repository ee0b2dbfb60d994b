"""One entry of a training tar as a training sample: picture, mask and annotation in, the original's item out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from hamer.datasets import utils

FLIP_KEYPOINT_PERMUTATION: tuple[int, ...] = tuple(range(21))
"""A mirrored hand keeps the order of its joints."""


def process_tar_item(
    picture: np.ndarray,
    mask: np.ndarray | None,
    annotation: dict[str, Any],
    *,
    augment_config: Any = None,
    train: bool = False,
    size: int = 256,
    mean: Sequence[float] = (0.485, 0.456, 0.406),
    std: Sequence[float] = (0.229, 0.224, 0.225),
    bbox_shape: tuple[int, int] | None = None,
    use_antialias: bool = False,
    border_mode: int = cv2.BORDER_CONSTANT,
    imgname: str = "",
) -> dict[str, Any]:
    """A training sample with the original's keys and types.

    Args:
        picture: RGB uint8 (H, W, 3).
        mask: (H, W) where the picture is to be believed (non-zero), or None for everywhere.
        annotation: keypoints_2d (21, 3) px; keypoints_3d (21, 4) m; center (2,) px; scale (2,), sides of the box in
            units of 200 px; hand_pose (48,) axis-angle, global orientation first; betas (10,); right; has_hand_pose,
            has_betas.
        augment_config: DATASETS.CONFIG, used where `train`.
        bbox_shape: aspect ratio (width, height) that the box takes; None for the square of its longer side, as in
            training.

    Returns:
        img (3, S, S), mask (S, S) 0..1 (all ones where the mask leaves nothing), keypoints_2d in crop widths,
        keypoints_3d, orig_keypoints_2d, box_center, box_size, img_size (width, height), mano_params with has_ and
        is_axis_angle, _scale, _trans, imgname.
    """
    points_2d = np.array(annotation["keypoints_2d"], np.float32)
    center, scale = np.array(annotation["center"], np.float32), np.array(annotation["scale"], np.float32)
    box_size = np.float32(np.max(utils.expand_to_aspect_ratio(scale * 200, target_aspect_ratio=bbox_shape)))
    if not box_size >= 1:
        raise ValueError(
            f"scale must give a box of at least 1 px, got {scale.tolist()} (units of 200 px): drop such samples"
        )
    params, has_params = _mano_params(annotation)
    img, points, points_3d, params, has_params, img_size, trans = utils.get_example(
        np.dstack([picture, _mask_levels(mask, picture)]),
        float(center[0]),
        float(center[1]),
        float(box_size),
        float(box_size),
        points_2d,
        np.array(annotation["keypoints_3d"], np.float32),
        params,
        has_params,
        FLIP_KEYPOINT_PERMUTATION,
        size,
        size,
        255.0 * np.asarray(mean),
        255.0 * np.asarray(std),
        train,
        bool(annotation["right"]),
        augment_config,
        is_bgr=False,
        use_skimage_antialias=use_antialias,
        border_mode=border_mode,
        return_trans=True,
    )
    return {
        "img": img[:3],
        "mask": _mask_patch(img[3]),
        "keypoints_2d": points.astype(np.float32),
        "keypoints_3d": points_3d.astype(np.float32),
        "orig_keypoints_2d": points_2d,
        "box_center": center,
        "box_size": box_size,
        "img_size": 1.0 * img_size[::-1],
        "mano_params": params,
        "has_mano_params": has_params,
        "mano_params_is_axis_angle": {"global_orient": True, "hand_pose": True, "betas": False},
        "_scale": scale,
        "_trans": trans,
        "imgname": imgname,
    }


def _mano_params(annotation: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    pose = np.array(annotation["hand_pose"], np.float32)
    betas = np.array(annotation["betas"], np.float32)
    has_pose, has_betas = (np.float32(annotation[name]) for name in ("has_hand_pose", "has_betas"))
    params = {"global_orient": pose[:3], "hand_pose": pose[3:], "betas": betas}
    return params, {"global_orient": np.array(has_pose), "hand_pose": np.array(has_pose), "betas": np.array(has_betas)}


def _mask_levels(mask: np.ndarray | None, picture: np.ndarray) -> np.ndarray:
    if mask is None:
        return np.full(picture.shape[:2], 255, np.uint8)
    return (np.asarray(mask) != 0).astype(np.uint8) * np.uint8(255)


def _mask_patch(levels: np.ndarray) -> np.ndarray:
    patch = (levels / 255.0).clip(0.0, 1.0).astype(np.float32)
    return np.ones_like(patch) if (patch < 0.5).all() else patch
