"""Hand poses in SMPL-X: means added and taken away, mirrored for the left hand, and the wrist."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hamer.geometry.mirroring import mirror_axis_angle
from hamer.geometry.rotations import aa_to_rotmat
from hamer.hand_models.smplx import (
    from_smplx_hand_pose,
    smplx_components,
    smplx_wrist_rotation,
    to_smplx_hand_pose,
)

GENERATOR = torch.Generator().manual_seed(0)
POSE = torch.randn(2, 3, 45, dtype=torch.float64, generator=GENERATOR)
MEAN = torch.randn(45, dtype=torch.float64, generator=GENERATOR)


@pytest.mark.parametrize("is_right", [True, False])
@pytest.mark.parametrize("flat", [True, False])
def test_round_trip_in_torch_and_numpy(is_right: bool, flat: bool) -> None:
    there = to_smplx_hand_pose(POSE, MEAN, is_right=is_right, flat_hand_mean=flat)
    back = from_smplx_hand_pose(there, MEAN, is_right=is_right, flat_hand_mean=flat)
    torch.testing.assert_close(back, POSE)
    numpy = to_smplx_hand_pose(POSE.numpy(), MEAN.numpy(), is_right=is_right, flat_hand_mean=flat)
    np.testing.assert_allclose(numpy, there.numpy())


def test_left_and_right_mirror_each_other() -> None:
    right = to_smplx_hand_pose(POSE, MEAN, is_right=True).unflatten(-1, (15, 3))
    mirrored = mirror_axis_angle(POSE.unflatten(-1, (15, 3))).flatten(-2)
    left = to_smplx_hand_pose(mirrored, MEAN, is_right=False).unflatten(-1, (15, 3))
    torch.testing.assert_close(left, mirror_axis_angle(right))


@pytest.mark.parametrize("is_right", [True, False])
def test_components_of_a_pose_inside_their_span(is_right: bool) -> None:
    components = torch.linalg.qr(torch.randn(45, 45, dtype=torch.float64, generator=GENERATOR))[0][:12]
    coefficients = torch.randn(4, 12, dtype=torch.float64, generator=GENERATOR)
    pose = from_smplx_hand_pose(coefficients @ components, MEAN, is_right=True)
    if not is_right:
        pose = mirror_axis_angle(pose.unflatten(-1, (15, 3))).flatten(-2)
    torch.testing.assert_close(smplx_components(pose, MEAN, components, is_right=is_right), coefficients)


def test_wrist_and_forearm_make_the_global_orientation() -> None:
    hand, forearm = aa_to_rotmat(POSE[..., :3]), aa_to_rotmat(POSE[..., 3:6])
    torch.testing.assert_close(forearm @ smplx_wrist_rotation(hand, forearm), hand)
