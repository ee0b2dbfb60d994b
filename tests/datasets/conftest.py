"""Made-up hands that agree with themselves: pictures of noise, 3D joints of the open hand, their projections."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from hamer.geometry.mirroring import mirror_axis_angle, mirror_points
from hamer.hand_models.layer import HandModel
from hamer.pipeline.reconstructor import load_hand_model
from hamer.structures import Camera


class MadeUpHand(NamedTuple):
    """`joints` (21, 3) m in the camera frame, `points` (21, 2) px, `pose` (48,), of a true left hand where it is left."""

    is_right: bool
    joints: np.ndarray
    points: np.ndarray
    pose: np.ndarray

    def entry(self, **more: Any) -> dict[str, Any]:
        """The hand in our own annotation format."""
        parameters = {"global_orient": self.pose[:3].tolist(), "hand_pose": self.pose[3:].tolist(), "betas": [0.1] * 10}
        return {
            "is_right": self.is_right, "keypoints_2d": self.points.tolist(), "keypoints_3d": self.joints.tolist(),
            "parameters": parameters, **more,
        }  # fmt: skip


class MadeUpHands:
    """Random hands half a metre before a camera of 300 px focal length, in pictures of 320 x 240 px."""

    camera = Camera(300.0, 300.0, 160.0, 120.0)
    size = (320, 240)

    def __init__(self, model: HandModel) -> None:
        self.model = model

    def hand(self, seed: int, *, is_right: bool | None = None) -> MadeUpHand:
        rng = np.random.default_rng(seed)
        is_right = bool(seed % 2) if is_right is None else is_right
        pose = torch.as_tensor(np.r_[rng.normal(size=3), rng.normal(size=45) * 0.3], dtype=torch.float32)
        joints = self.model.forward_axis_angle(pose[:3], pose[3:], torch.zeros(10)).joints
        if not is_right:
            joints, pose = mirror_points(joints), mirror_axis_angle(pose.reshape(16, 3)).reshape(48)
        joints = (joints - joints.mean(0)).numpy() + np.r_[rng.uniform(-0.1, 0.1, 2), 0.5]
        pixels = joints @ self.camera.matrix.T
        return MadeUpHand(is_right, joints, pixels[:, :2] / pixels[:, 2:], pose.numpy())

    def picture(self, path: Path, seed: int = 0, **save: Any) -> Path:
        noise = np.random.default_rng(seed).integers(0, 255, (self.size[1] // 8, self.size[0] // 8, 3), np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).resize(self.size, Image.Resampling.BILINEAR).save(path, **save)
        return path

    def album(self, folder: Path, count: int = 7) -> dict[str, Any]:
        """Pictures in `folder`, and the annotation of all in our own format: two hands in every third."""
        pictures = []
        for number in range(count):
            self.picture(folder / f"p{number}.jpg", number)
            hands = [self.hand(10 * number + i).entry() for i in range(2 if number % 3 == 0 else 1)]
            camera = {"fx": 300.0, "fy": 300.0, "cx": 160.0, "cy": 120.0}
            pictures.append({"image": f"p{number}.jpg", "width": 320, "height": 240, "camera": camera, "hands": hands})
        return {"pictures": pictures}


@pytest.fixture(scope="session")
def made_up_hands() -> MadeUpHands:
    return MadeUpHands(load_hand_model("open"))
