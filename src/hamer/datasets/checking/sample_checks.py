"""What can be wrong with one hand of a training file, seen without its picture's pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hamer.datasets.checking.consistency import check_consistency
from hamer.datasets.hands import SHAPES

_FLAGS = ("right", "has_hand_pose", "has_betas")
_FAR_OUTSIDE = 1.0  # of the picture's size beyond its edge: no annotator draws a joint there
_LARGEST_BETA = 10.0  # standard deviations; fits that went astray have such
_LARGEST_ANGLE = 2 * np.pi + 1e-3
_PALM_METRES = (0.03, 0.16)  # wrist to the middle finger's base: a small child's to a large adult's, with room


@dataclass(frozen=True)
class Problem:
    """`code` groups problems of one kind; with `is_error` training would fail or learn nonsense, else it is worth a look."""

    code: str
    message: str
    is_error: bool = True


def check_hand(sample: Mapping[str, Any], width: int, height: int) -> list[Problem]:
    """The problems of a hand as a tar holds it, in a picture of `width` x `height` px.

    Args:
        sample: see `hamer.datasets.packing.samples.hand_sample`; read from a file that nobody vouches for.
    """
    if not isinstance(sample, Mapping):
        return [Problem("fields", f"a hand must be a dict of arrays, got {type(sample).__name__}")]
    problems = list(_check_fields(sample))
    if any(p.is_error for p in problems):
        return problems  # what follows computes with the numbers
    values = {name: np.asarray(sample[name], np.float64) for name in SHAPES}
    problems += _check_numbers(values)
    problems += _check_box(values, width, height)
    problems += _check_keypoints(values, width, height)
    problems += _check_parameters(values)
    camera = camera_of(sample)
    problems += [Problem(code, text, False) for code, text in check_consistency(values, width, height, camera)]
    return problems


def camera_of(sample: Mapping[str, Any]) -> np.ndarray | None:
    """fx, fy, cx, cy (4,) px that `hamer data pack` notes in extra_info, or None."""
    extra = sample.get("extra_info")
    camera = extra.get("camera") if isinstance(extra, Mapping) else None
    if not isinstance(camera, np.ndarray) or camera.shape != (4,) or camera.dtype.kind != "f":
        return None
    return camera if np.isfinite(camera).all() and (camera[:2] > 0).all() else None


def _check_fields(sample: Mapping[str, Any]) -> Iterator[Problem]:
    for name, shape in SHAPES.items():
        if name not in sample:
            yield Problem("fields", f"{name} is missing; expected numbers of shape {shape}")
            continue
        value = sample[name]
        if not isinstance(value, (np.ndarray, np.generic, float, int)):
            yield Problem("fields", f"{name} must be an array, got {type(value).__name__}")
            continue
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            yield Problem("fields", f"{name} must hold numbers, got dtype {array.dtype}")
        elif array.shape != shape and not (shape == () and array.shape == (1,)):
            yield Problem("shape", f"{name} must have shape {shape}, got {array.shape}")
        elif not np.isfinite(array).all():
            yield Problem(
                "finite", f"{name} must be finite, got {int((~np.isfinite(array)).sum())} numbers that are not"
            )
        elif array.dtype != np.float32:
            yield Problem("dtype", f"{name} should be float32, got {array.dtype}", False)
    if not isinstance(sample.get("extra_info", {}), Mapping):
        yield Problem("fields", f"extra_info must be a dict, got {type(sample['extra_info']).__name__}")


def _check_numbers(values: Mapping[str, np.ndarray]) -> Iterator[Problem]:
    for name in _FLAGS:
        if values[name].item() not in (0.0, 1.0):
            yield Problem("flag", f"{name} must be 0 or 1, got {values[name].item():g}")
    for name in ("keypoints_2d", "keypoints_3d"):
        confidence = values[name][:, -1]
        if (confidence < 0).any():
            yield Problem("confidence", f"{name} must have confidences of 0 or more, got {confidence.min():g}")
        elif (confidence > 1).any():
            yield Problem("confidence", f"{name} should have confidences of 0 to 1, got {confidence.max():g}", False)


def _check_box(values: Mapping[str, np.ndarray], width: int, height: int) -> Iterator[Problem]:
    size, center = values["scale"] * 200, values["center"]
    if not (size > 0).all() or size.max() < 1:
        yield Problem("box", f"scale must give a box of at least 1 px, got {size[0]:g} x {size[1]:g} px (scale * 200)")
        return
    low, high = center - size / 2, center + size / 2
    if (high <= 0).any() or (low >= [width, height]).any():
        x0, y0, x1, y1 = (*low, *high)
        yield Problem(
            "box", f"the box ({x0:.0f}, {y0:.0f}, {x1:.0f}, {y1:.0f}) lies outside the picture of {width} x {height} px"
        )
    elif size.max() > 8 * max(width, height):
        yield Problem(
            "box", f"the box of {size.max():.0f} px is far larger than the picture, {width} x {height} px", False
        )


def _check_keypoints(values: Mapping[str, np.ndarray], width: int, height: int) -> Iterator[Problem]:
    points, labelled = values["keypoints_2d"][:, :2], values["keypoints_2d"][:, 2] > 0
    if not labelled.any():
        yield Problem("keypoints_2d", "no joint is labelled: the default filter drops this hand", False)
        return
    points, size = points[labelled], np.array([width, height])
    beyond = np.maximum(-points, points - size).max(axis=1) > _FAR_OUTSIDE * max(width, height)
    if beyond.any():
        x, y = points[beyond][0]
        yield Problem(
            "keypoints_2d",
            f"{int(beyond.sum())} labelled joints lie far outside the picture of {width} x {height} px, "
            f"such as ({x:.0f}, {y:.0f}): are they in pixels of this picture?",
        )
    half = values["scale"] * 100
    inside = (np.abs(points - values["center"]) <= half.max()).all(axis=1)
    if not inside.any():
        yield Problem("keypoints_2d", "no labelled joint lies in the box: does the box belong to another hand?")
    elif inside.mean() < 0.5:
        yield Problem("keypoints_2d", f"only {inside.mean():.0%} of the labelled joints lie in the box", False)
    if np.ptp(points, axis=0).max() < 1 and labelled.sum() > 4:
        yield Problem("keypoints_2d", "all labelled joints lie within a pixel: are they in 0..1 instead of pixels?")


def _check_parameters(values: Mapping[str, np.ndarray]) -> Iterator[Problem]:
    points, confident = values["keypoints_3d"][:, :3], values["keypoints_3d"][:, 3] > 0
    if confident.any() and not confident[0]:
        yield Problem("root", "keypoints_3d must label the wrist where they label any joint: losses are relative to it")
    if confident[0] and confident[9]:
        palm = float(np.linalg.norm(points[9] - points[0]))
        if not _PALM_METRES[0] <= palm <= _PALM_METRES[1]:
            yield Problem(
                "keypoints_3d",
                f"wrist to the middle finger's base should be about 0.1 m, got {palm:.4g}: are the points in metres?",
                False,
            )
    if values["has_hand_pose"]:
        angles = np.linalg.norm(values["hand_pose"].reshape(16, 3), axis=1)
        if angles.max() > _LARGEST_ANGLE:
            yield Problem(
                "hand_pose",
                f"hand_pose must be axis-angle in radians, got a rotation by {angles.max():.3g} "
                f"({np.degrees(angles.max()):.0f} degrees, joint {int(angles.argmax())})",
                False,
            )
    if values["has_betas"] and np.abs(values["betas"]).max() > _LARGEST_BETA:
        yield Problem(
            "betas", f"betas should be within {_LARGEST_BETA:g}, got {np.abs(values['betas']).max():.3g}", False
        )
