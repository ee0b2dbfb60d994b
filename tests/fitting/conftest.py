"""A small hand to fit: 26 vertices at the places of a real hand's joints, with everything that makes skinning hard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from hamer.fitting import HandPose
from hamer.fitting.anatomy import Anatomy
from hamer.fitting.kinematics import Skeleton
from hamer.geometry.rotations import aa_to_rotmat
from hamer.hand_models import HandModel, HandModelArrays

# Rest joints of a right hand in metres, MANO's axes: the wrist, then per finger (in MANO's order) joints and tip.
_WRIST = (0.0, 0.0, 0.0)
_FINGERS = (
    ((-0.090, 0.002, 0.022), (-0.122, -0.001, 0.025), (-0.146, -0.004, 0.027), (-0.170, -0.008, 0.029)),
    ((-0.095, 0.004, 0.000), (-0.127, 0.001, 0.000), (-0.154, -0.002, -0.001), (-0.180, -0.006, -0.002)),
    ((-0.069, -0.002, -0.039), (-0.086, -0.004, -0.047), (-0.102, -0.006, -0.054), (-0.120, -0.009, -0.060)),
    ((-0.083, 0.002, -0.021), (-0.112, 0.000, -0.027), (-0.137, -0.003, -0.032), (-0.160, -0.007, -0.037)),
    ((-0.025, -0.010, 0.028), (-0.050, -0.016, 0.050), (-0.072, -0.020, 0.068), (-0.093, -0.027, 0.083)),
)
_TIP_FINGERS = (4, 0, 1, 3, 2)  # thumb, index, middle, ring, little


def _points() -> np.ndarray:
    joints = [_WRIST, *(node for finger in _FINGERS for node in finger[:3])]
    tips = [_FINGERS[f][3] for f in _TIP_FINGERS]
    wrist = np.array([0.09, 0.005, 0.006])  # as MANO's, the wrist is not the origin
    return np.array([*joints, *tips, *tips]) + wrist


@pytest.fixture(scope="session")
def stick_hand() -> HandModel:
    """A hand with blended fingertip weights, pose correctives of millimetres and ten shapes; float64."""
    rng = np.random.default_rng(0)
    points = _points()
    n, centred = len(points), points - points[0]
    shapedirs = rng.normal(0, 3e-4, (n, 3, 10))
    shapedirs[:, :, 0] += 0.04 * centred  # the first beta is overall size, the second the width
    shapedirs[:, 2, 1] += 0.06 * centred[:, 2]
    weights = np.zeros((n, 16))
    weights[np.arange(16), np.arange(16)] = 1
    for row, finger in enumerate(_TIP_FINGERS * 2, start=16):
        last = 3 * finger + 3
        weights[row, [last, last - 1, 0]] = 0.90, 0.07, 0.03
    arrays = HandModelArrays(
        name="open",
        v_template=points,
        shapedirs=shapedirs,
        posedirs=rng.normal(0, 1e-3, (n, 3, 135)),
        J_regressor=np.eye(16, n),
        lbs_weights=weights,
        faces=np.array([[0, 1, 4]]),
        fingertips=np.arange(16, 21),
    )
    return HandModel(arrays, dtype=torch.float64)


@dataclass
class MadeHands:
    """N right hands with known truth and what a perfect camera and a perfect landmark model would say of them."""

    pose: HandPose
    angles: torch.Tensor  # (N, A)
    joints: torch.Tensor  # (N, 21, 3)
    keypoints: torch.Tensor  # (N, 21, 3)
    camera: torch.Tensor  # (3, 3)

    @property
    def right(self) -> torch.Tensor:
        return torch.ones(len(self.joints), dtype=torch.bool)

    @property
    def size_px(self) -> torch.Tensor:
        """Longer side of the keypoints' box, (N,)."""
        return (self.keypoints[..., :2].amax(1) - self.keypoints[..., :2].amin(1)).amax(1)


def make_hands(hand: HandModel, n: int, seed: int = 0, *, shape: float = 0.5) -> MadeHands:
    """Random hands inside the anatomical ranges, 0.3 m to 0.9 m in front of a camera with two focal lengths."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=rng, dtype=torch.float64)

    anatomy = Anatomy.from_skeleton(Skeleton.from_hand_model(hand))
    angles = anatomy.mean + 0.7 * anatomy.spread * normal(n, len(anatomy.mean))
    angles = angles.clamp(anatomy.low, anatomy.high)
    rotations = anatomy.rotations(anatomy.full_angles(angles, torch.zeros(n, 15, 3, dtype=torch.float64)))
    depth = 0.3 + 0.6 * torch.rand(n, generator=rng, dtype=torch.float64)
    translation = torch.stack([0.2 * depth * normal(n), 0.2 * depth * normal(n), depth], dim=1)
    pose = HandPose(aa_to_rotmat(normal(n, 3)), rotations, shape * normal(n, 10), translation)
    joints = hand.joints(pose.global_orient, pose.hand_pose, pose.betas, translation)
    camera = torch.tensor([[900.0, 0, 640], [0, 950.0, 360], [0, 0, 1]], dtype=torch.float64)
    return MadeHands(pose, angles, joints, keypoints_of(joints, camera), camera)


def keypoints_of(joints: torch.Tensor, camera: torch.Tensor) -> torch.Tensor:
    """Joints (N, 21, 3) as keypoints (N, 21, 3): px and confidence 1."""
    pixels = joints / joints[..., 2:] @ camera.T
    return torch.cat([pixels[..., :2], torch.ones_like(pixels[..., :1])], dim=-1)


@pytest.fixture(scope="session")
def made(stick_hand: HandModel) -> MadeHands:
    """Six made hands."""
    return make_hands(stick_hand, 6)
