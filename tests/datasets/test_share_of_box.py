"""Crops that show less, or more, of a stored box than the original's."""

from __future__ import annotations

import numpy as np

from hamer.configs.node import ConfigNode
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.tar_items import plan_tar_item

ANNOTATION = {
    "center": np.array([120.0, 90.0], np.float32),
    "scale": np.array([0.5, 0.4], np.float32),
    "keypoints_2d": np.tile(np.array([140.0, 95.0, 1.0], np.float32), (21, 1)),
    "keypoints_3d": np.zeros((21, 4), np.float32),
    "hand_pose": np.zeros(48, np.float32),
    "betas": np.zeros(10, np.float32),
    "right": 1,
}


def settings(**model: float) -> CropSettings:
    return CropSettings.from_cfg(ConfigNode({"MODEL": {"IMAGE_SIZE": 128, **model}, "DATASETS": {}}), train=False)


def test_without_a_factor_boxes_are_taken_as_stored() -> None:
    assert settings().share_of_box == 1.0


def test_a_smaller_factor_enlarges_the_hand() -> None:
    """A point beside the box's centre moves away from the crop's centre by the ratio of the factors."""
    plain, nearer = (
        plan_tar_item(ANNOTATION, 256, s, _unchanged()) for s in (settings(), settings(RESCALE_FACTOR=1.6))
    )
    centre = plain.keypoints_2d[0, :2] - (np.array([20.0, 5.0]) / 100)  # 20, 5 px of a box of 100
    grown = (nearer.keypoints_2d[0, :2] - centre) / (plain.keypoints_2d[0, :2] - centre)
    assert np.allclose(grown, 2.0 / 1.6, atol=1e-4)  # float32 pixels


def _unchanged():  # type: ignore[no-untyped-def]
    from hamer.crops.augmentation import Augmentation

    return Augmentation()
