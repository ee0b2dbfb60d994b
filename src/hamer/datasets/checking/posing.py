"""The hand that a sample's parameters mean, and whether it is the hand of its joints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hamer.datasets.checking.consistency import fit_residual
from hamer.datasets.checking.sample_checks import Problem, camera_of
from hamer.geometry.mirroring import mirror_axis_angle
from hamer.geometry.rotations import aa_to_rotmat
from hamer.hand_models.layer import HandModel, HandOutput, mirror_output

LARGEST_RESIDUAL = 0.17
"""Of the hand's longer side in the picture: 3 % of annotators, and another hand's proportions and shape on top."""
_BETTER = 0.5


def posed_hand(sample: Mapping[str, Any], hand_model: HandModel) -> HandOutput:
    """The hand of a sample's parameters about the origin, axes of the camera frame, a left hand as the left hand it is.

    Betas belong to the model that they were fitted with: with the open hand, the mean shape is taken.
    """
    is_right = bool(np.asarray(sample["right"]).item())
    return mirror_output(hand_model(*_parameters(sample, hand_model, is_right)), is_right)


def _parameters(sample: Mapping[str, Any], hand_model: HandModel, is_right: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations (3, 3) and (15, 3, 3) and betas (10,) of the right hand that is to be mirrored for a left one."""
    pose = torch.as_tensor(np.array(sample["hand_pose"], np.float32)).reshape(16, 3)
    rotations = aa_to_rotmat(pose if is_right else mirror_axis_angle(pose))
    betas = torch.zeros(10)
    if hand_model.name == "mano" and np.asarray(sample["has_betas"]).item():
        betas = torch.as_tensor(np.array(sample["betas"], np.float32))
    return rotations[0], rotations[1:], betas


def check_pose(sample: Mapping[str, Any], width: int, height: int, hand_model: HandModel) -> Iterator[Problem]:
    """Problems of a sound sample's pose: its joints, projected, should fall on the labelled ones.

    They do not where the rotation is in another frame (a world's, OpenGL's), the mean pose is missing, the fingers are in
    another order, or the pose is that of the mirrored hand.
    """
    if not np.asarray(sample["has_hand_pose"]).item():
        return
    is_right = bool(np.asarray(sample["right"]).item())
    residual = _residual(sample, width, height, hand_model, is_right)
    if residual is None or residual <= LARGEST_RESIDUAL:
        return
    side, other = ("right", "left") if is_right else ("left", "right")
    explanations = (
        (sample, not is_right, f"fits its joints when read as a {other} one's: is the side wrong?"),
        (_mirrored(sample), is_right, "fits its joints when mirrored: a left hand's must be that of a left hand"),
    )
    for changed, read_as_right, text in explanations:
        explained = _residual(changed, width, height, hand_model, read_as_right)
        if explained is not None and explained < min(_BETTER * residual, LARGEST_RESIDUAL):
            yield Problem("mirrored", f"the pose of this {side} hand {text}", False)
            return
    text = (
        f"the pose's joints miss keypoints_2d by {residual:.0%} of the hand's size when projected: check the frame of the "
        "global orientation (x right, y down, z forward) and whether the mean pose is in the finger angles"
    )
    yield Problem("pose", text, False)


def _mirrored(sample: Mapping[str, Any]) -> dict[str, Any]:
    pose = np.asarray(sample["hand_pose"], np.float32).reshape(16, 3)
    return {**sample, "hand_pose": mirror_axis_angle(pose).reshape(48)}


def _residual(
    sample: Mapping[str, Any], width: int, height: int, hand_model: HandModel, is_right: bool
) -> float | None:
    joints = hand_model.joints(*_parameters(sample, hand_model, is_right)).double().numpy()
    joints = joints if is_right else joints * [-1, 1, 1]
    points = np.asarray(sample["keypoints_2d"], np.float64)
    return fit_residual(points, np.c_[joints, np.ones(21)], width, height, camera_of(sample))
