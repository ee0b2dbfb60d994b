"""Evaluation crops turned upright in place: pixels, points and cameras go the same way, and come back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hamer.configs.node import ConfigNode
from hamer.crops.upright import hand_rotation
from hamer.evaluation.second_look import OUTPUTS, looked_at, turned_crops
from hamer.geometry.cameras import perspective_projection, pred_cam_to_translation
from hamer.geometry.directions import turns_about_view

SIDE = 64
FOCAL = 2500.0


class Stub:
    """A network that sees a given hand in every first look, and remembers what it was shown."""

    def __init__(self, points: torch.Tensor, *, upright: bool) -> None:
        self.cfg = ConfigNode({"MODEL": {"UPRIGHT": upright}})
        self.shown: list[torch.Tensor] = []
        generator = torch.Generator().manual_seed(0)
        joints = 0.05 * torch.randn(len(points), 21, 3, generator=generator)
        cam = torch.tensor([[0.9, 0.02, -0.03]]).repeat(len(points), 1)
        at = pred_cam_to_translation(cam, torch.full((len(points),), FOCAL), SIDE)
        projected = perspective_projection(
            joints, translation=at, focal_length=torch.full((len(points), 2), FOCAL / SIDE)
        )
        self.output = {
            "pred_keypoints_3d": joints, "pred_vertices": joints + 0.01, "pred_cam": cam, "pred_keypoints_2d": projected,
            "pred_points": torch.cat([points, torch.ones(len(points), 21, 2)], -1),
        }  # fmt: skip

    def __call__(self, batch: dict[str, torch.Tensor]) -> dict[str, Any]:
        self.shown.append(batch["img"])
        return self.output


def pointing(degrees: float) -> torch.Tensor:
    """(1, 21, 2) in crop widths: a wrist at the centre, all other joints in one direction."""
    points = np.zeros((21, 2))
    points[1:] = turns_about_view(degrees)[:2, :2] @ [0, -0.3]
    return torch.from_numpy(points)[None].float()


@pytest.mark.parametrize("degrees", [0.0, 70.0, -120.0])
def test_the_second_crop_shows_the_hand_upright(degrees: float) -> None:
    """A spot of light at the fingers ends above the centre, where the label says."""
    points = pointing(degrees)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    at = (points[0, 9].numpy() + 0.5) * SIDE
    light = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 8)
    image = torch.from_numpy(np.repeat(light[None], 3, 0))[None].float()
    network = Stub(points, upright=True)
    looked_at(network, image)
    first, second = network.shown
    assert first is image
    level = second[0, 0].clamp(min=0).numpy()  # corners are black: less than the spot's ground
    found = np.array([(level * x).sum(), (level * y).sum()]) / level.sum() / SIDE - 0.5
    np.testing.assert_allclose(found, [0, -0.3], atol=0.01)  # crop widths


def test_what_lies_outside_is_black() -> None:
    """White crops turned by 45 degrees: their corners are what a black pixel is to the network."""
    network = Stub(pointing(45.0), upright=True)
    looked_at(network, torch.full((1, 3, SIDE, SIDE), 2.0))
    corner = network.shown[1][0, :, 0, 0].numpy()
    np.testing.assert_allclose(corner, -np.array([0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], atol=1e-4)
    np.testing.assert_allclose(network.shown[1][0, :, SIDE // 2, SIDE // 2], 2.0, atol=1e-5)


def test_joints_cameras_and_keypoints_come_back_together() -> None:
    network = Stub(pointing(70.0), upright=True)
    output = looked_at(network, torch.zeros(1, 3, SIDE, SIDE))
    turn = torch.from_numpy(turns_about_view(float(hand_rotation(pointing(70.0)[0].numpy())))).float()
    for name in ("pred_keypoints_3d", "pred_vertices"):
        torch.testing.assert_close(output[name][0], network.output[name][0] @ turn.T)
    at = pred_cam_to_translation(output["pred_cam"], torch.full((1,), FOCAL), SIDE)
    focal = torch.full((1, 2), FOCAL / SIDE)
    projected = perspective_projection(output["pred_keypoints_3d"], translation=at, focal_length=focal)
    torch.testing.assert_close(projected, output["pred_keypoints_2d"])
    assert (projected - network.output["pred_keypoints_2d"]).abs().max() > 0.05


def test_turning_by_whole_quarters_moves_pixels_exactly() -> None:
    image = torch.rand(1, 3, 9, 9)
    turn = torch.from_numpy(turns_about_view(np.array([90.0]))).float()
    # The centre is pixel 4.5, so that what a quarter brings to column 0 lies beyond the crop.
    expected = torch.rot90(image, 1, (2, 3))
    torch.testing.assert_close(turned_crops(image, turn)[..., 1:, :], expected[..., :-1, :], atol=1e-5, rtol=0)


def test_other_networks_look_once() -> None:
    network = Stub(pointing(70.0), upright=False)
    output = looked_at(network, torch.zeros(1, 3, SIDE, SIDE))
    assert len(network.shown) == 1
    assert set(output) == set(OUTPUTS)
    assert all(output[name] is network.output[name] for name in OUTPUTS)
    assert len(looked_at(SimpleNamespaceNetwork(network), torch.zeros(1, 3, SIDE, SIDE))) == len(OUTPUTS)


class SimpleNamespaceNetwork:
    """A configuration that never heard of it, as the original's."""

    def __init__(self, network: Stub) -> None:
        self.cfg = SimpleNamespace(MODEL={})
        self._network = network

    def __call__(self, batch: dict[str, torch.Tensor]) -> dict[str, Any]:
        return self._network(batch)
