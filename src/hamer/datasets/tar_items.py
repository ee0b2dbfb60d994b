"""One entry of a training tar as a training sample: picture, mask and annotation in, the original's item out.

Three steps, so that the middle one can wait or move to a device: the plan (geometry and labels), the patch's pixels in
grey levels, the item.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from hamer.crops.augmentation import Augmentation
from hamer.crops.upright import UprightView, hand_rotation, upright_view
from hamer.crops.windows import RESCALE_FACTOR
from hamer.datasets import patch_pixels, utils
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.example import ExamplePlan, Subject, plan_example
from hamer.datasets.extra_labels import extra_numbers
from hamer.models.config import IMAGE_MEAN, IMAGE_STD

FLIP_KEYPOINT_PERMUTATION: tuple[int, ...] = tuple(range(21))
"""A mirrored hand keeps the order of its joints."""

IS_AXIS_ANGLE = {"global_orient": True, "hand_pose": True, "betas": False}


def process_tar_item(
    picture: np.ndarray,
    mask: np.ndarray | None,
    annotation: dict[str, Any],
    *,
    augment_config: Any = None,
    train: bool = False,
    size: int = 256,
    mean: Sequence[float] = IMAGE_MEAN,
    std: Sequence[float] = IMAGE_STD,
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
    mean, std = (tuple(float(v) for v in values) for values in (mean, std))
    settings = CropSettings(size, mean, std, bbox_shape, use_antialias, border_mode)
    change = Augmentation.from_values(utils.do_augmentation(augment_config)) if train else Augmentation()
    plan = plan_tar_item(annotation, picture.shape[1], settings, change)
    patch = patch_pixels.cut_patch(picture, mask, plan, settings)
    img, believed = patch_pixels.network_input(patch, plan, settings, is_bgr=False)
    shape = (picture.shape[0], picture.shape[1])
    return {"img": img, "mask": believed, **tar_labels(annotation, plan, shape, settings, imgname)}


def plan_tar_item(
    annotation: Mapping[str, Any],
    picture_width: int,
    settings: CropSettings,
    change: Augmentation,
    rng: random.Random | None = None,
    view: UprightView | None = None,
) -> ExamplePlan:
    """The plan of an annotation's example under `change`; ValueError for boxes below a pixel.

    Args:
        view: what the crop shows instead of the annotated box, of the picture as it is; `change` comes on top of it, but for
            its rotation, which the view's stands for.
    """
    center, side = np.array(annotation["center"], np.float32), float(box_size(annotation, settings))
    is_right = bool(annotation["right"])
    if view is not None:
        sides = RESCALE_FACTOR * np.array([view.width, view.height], np.float32)  # as boxes are stored
        center, side = np.array(view.center, np.float32), float(_crop_side(sides, settings))
        mirrored = change.flip or not is_right
        change = replace(change, rotation=-view.rotation if mirrored else view.rotation)
    if not side >= 1:
        raise ValueError(
            f"scale must give a box of at least 1 px, got {np.array(annotation['scale']).tolist()} "
            "(units of 200 px): drop such samples"
        )
    pose = np.array(annotation["hand_pose"], np.float32)
    params = {"global_orient": pose[:3], "hand_pose": pose[3:], "betas": np.array(annotation["betas"], np.float32)}
    subject = Subject(
        center=(float(center[0]), float(center[1])),
        width=side,
        height=side,
        keypoints_2d=np.array(annotation["keypoints_2d"], np.float32),
        keypoints_3d=np.array(annotation["keypoints_3d"], np.float32),
        mano_params=params,
        is_right=is_right,
    )
    return plan_example(
        subject,
        picture_width,
        (settings.size, settings.size),
        change,
        flip_permutation=FLIP_KEYPOINT_PERMUTATION,
        antialias=settings.antialias,
        rng=rng,
    )


def view_of(annotation: Mapping[str, Any], shape: tuple[int, int], off: float) -> UprightView | None:
    """The box that shows an annotated hand upright but for `off` degrees; None where not all of its joints are known, or
    nothing of it lies in the picture.

    The direction is that of the landmark model's points where there are any, since nothing else is known when the network is
    used; the box is tight around the true joints, as annotated boxes are.

    Args:
        shape: the picture's H, W.

    Raises:
        ExtraLabelError: landmarks that are none.
    """
    points = np.array(annotation["keypoints_2d"], np.float64)
    if not (points[:, 2] > 0).all():
        return None
    told = extra_numbers(annotation, "landmarks_2d")
    directions = [hand_rotation(which[:, :2].astype(np.float64)) for which in (told, points) if which is not None]
    rotation = next((float(angle) for angle in directions if np.isfinite(angle)), None)
    if rotation is None:
        return None
    view = upright_view(points[:, :2], rotation + off, (shape[1], shape[0]))
    return view if max(view.width, view.height) >= 1 else None


def box_size(annotation: Mapping[str, Any], settings: CropSettings) -> np.float32:
    """Side of the square that a hand's crop shows before augmentation, px."""
    return _crop_side(np.array(annotation["scale"], np.float32) * 200, settings)


def _crop_side(sides: np.ndarray, settings: CropSettings) -> np.float32:
    """Of a box as tars store it (width and height px)."""
    side = np.max(utils.expand_to_aspect_ratio(sides, target_aspect_ratio=settings.bbox_shape))
    return np.float32(side * np.float32(settings.share_of_box))


def tar_labels(
    annotation: Mapping[str, Any], plan: ExamplePlan, shape: tuple[int, int], settings: CropSettings, imgname: str
) -> dict[str, Any]:
    """Everything in an item that is no pixel; `shape` is the picture's H, W. `box_center`, `box_size` are the annotated box's,
    whatever the crop shows.
    """
    has_pose, has_betas = np.asarray(annotation["has_hand_pose"]), np.asarray(annotation["has_betas"])
    return {
        "keypoints_2d": plan.keypoints_2d.astype(np.float32),
        "keypoints_3d": plan.keypoints_3d.astype(np.float32),
        "orig_keypoints_2d": np.array(annotation["keypoints_2d"], np.float32),
        "box_center": np.array(annotation["center"], np.float32),
        "box_size": box_size(annotation, settings),
        "img_size": np.array([shape[1], shape[0]], np.float64),
        "mano_params": plan.mano_params,
        "has_mano_params": {
            "global_orient": has_pose.copy(),
            "hand_pose": has_pose.copy(),
            "betas": has_betas.copy(),
        },
        "mano_params_is_axis_angle": dict(IS_AXIS_ANGLE),
        "_scale": np.array(annotation["scale"], np.float32),
        "_trans": plan.matrix,
        "imgname": imgname,
    }
