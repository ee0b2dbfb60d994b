"""Losses of maps and vertices: against plain computations, what they leave out, and nothing at all unless asked."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from hamer.checkpoints.hand_files import load_open_hand
from hamer.geometry.rotations import aa_to_rotmat
from hamer.models.dense_losses import heatmap_loss, part_loss, point_loss
from hamer.models.losses import compute_loss, vertex_loss
from hamer.models.mano_wrapper import MANO

MAPS = ("pred_heatmaps", "pred_parts", "pred_points")
PLAIN = {"KEYPOINTS_3D": 0.05, "KEYPOINTS_2D": 0.01, "GLOBAL_ORIENT": 0.001, "HAND_POSE": 0.001, "BETAS": 0.0005}


def keypoints(batch: int = 3) -> torch.Tensor:
    """Inside the crop, with confidences."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(batch, 21, 3, generator=generator)
    points[..., :2] -= 0.5
    return points


def plain_heatmap_loss(logits: torch.Tensor, points: torch.Tensor, sigma: float) -> torch.Tensor:
    """Cell by cell, with a whole map of targets."""
    total = torch.zeros((), dtype=torch.float64)
    rows, columns = logits.shape[-2:]
    for map_, (x, y, confidence) in zip(logits.flatten(0, 1).double(), points.flatten(0, 1).double(), strict=True):
        if max(abs(x), abs(y)) > 0.5:
            continue
        distance_x = torch.arange(columns) + 0.5 - (x + 0.5) * columns
        distance_y = torch.arange(rows) + 0.5 - (y + 0.5) * rows
        target = torch.exp(-(distance_x[None] ** 2 + distance_y[:, None] ** 2) / (2 * sigma**2))
        target = (target / target.sum()).flatten()
        total += confidence * F.kl_div(F.log_softmax(map_.flatten(), 0), target, reduction="sum")
    return total


def test_heatmap_loss_is_the_plain_one() -> None:
    logits, points = torch.randn(3, 21, 16, 32, generator=torch.Generator().manual_seed(1)), keypoints()
    points[0, 3, 0], points[1, 4, 1] = 0.6, -0.7  # outside: not counted
    expected = plain_heatmap_loss(logits, points, 1.5)
    torch.testing.assert_close(heatmap_loss(logits, points).double(), expected, rtol=1e-5, atol=0)  # float32 sums


def test_heatmap_loss_is_least_at_the_joint() -> None:
    points = keypoints(1)
    centres = (torch.arange(32) + 0.5) / 32 - 0.5
    distance = (centres[None, None] - points[0, :, 0, None, None]) ** 2
    distance = distance + (centres[None, :, None] - points[0, :, 1, None, None]) ** 2
    logits = (-distance * 32**2 / (2 * 1.5**2))[None].requires_grad_()
    loss = heatmap_loss(logits, points)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert abs(loss.item()) < 1e-4  # zero but for rounding: 21 sums of logits up to 1000
    assert gradient.abs().max() < 1e-5


def test_what_is_not_known_has_no_gradient() -> None:
    points = keypoints()
    points[:, 5, 2], points[:, 6, 0], points[:, 7, :2] = 0.0, 0.51, float("inf")
    logits = torch.randn(3, 21, 32, 32).requires_grad_()
    (gradient,) = torch.autograd.grad(heatmap_loss(logits, torch.nan_to_num(points, posinf=1e6)), logits)
    assert (gradient[:, [5, 6, 7]] == 0).all()
    assert (gradient[:, :5] != 0).any()
    labels = torch.randint(0, 19, (3, 32, 32), generator=torch.Generator().manual_seed(2)).to(torch.uint8)
    labels[:, :7] = 255
    maps = torch.randn(3, 19, 32, 32, dtype=torch.float64).requires_grad_()
    loss = part_loss(maps, labels)
    (gradient,) = torch.autograd.grad(loss, maps)
    assert (gradient[:, :, :7] == 0).all()
    taken = F.log_softmax(maps.detach().float(), 1).gather(1, labels.clamp(max=18).long()[:, None])[:, 0, 7:]
    torch.testing.assert_close(loss.detach(), -taken.sum() / 32**2, check_dtype=False)
    assert part_loss(maps, torch.full_like(labels, 255)) == 0


def test_point_loss() -> None:
    """Two joints: one in the crop, 0.1 off in x; one outside it, 0.2 dm off in depth from the root, which is the first."""
    keypoints_2d = torch.tensor([[[0.1, 0.2, 1.0], [0.6, 0.0, 1.0]]])
    keypoints_3d = torch.tensor([[[0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 0.53, 1.0]]])
    own = torch.tensor([[[0.2, 0.2, 0.9, 0.05], [0.0, 0.0, 0.1, 0.15]]])
    torch.testing.assert_close(point_loss(own, keypoints_2d, keypoints_3d), torch.tensor(0.1 + 0.2))
    assert point_loss(own, keypoints_2d * 0, keypoints_3d * 0) == 0


def test_vertex_loss() -> None:
    predicted, target = torch.zeros(2, 5, 3), torch.full((2, 5, 3), 0.1)
    torch.testing.assert_close(vertex_loss(predicted, target, torch.tensor([1.0, 0.0])), torch.tensor(0.3))
    assert vertex_loss(predicted, target, torch.tensor([False, False])) == 0


@pytest.fixture(scope="module")
def hand() -> MANO:
    return MANO(load_open_hand())


def step(hand: MANO, *, off: float = 0.0) -> tuple[dict[str, Any], dict[str, Any]]:
    """An output whose hands are the true ones turned by `off` about x, and a batch."""
    generator = torch.Generator().manual_seed(3)
    pose, betas = torch.randn(2, 48, generator=generator) * 0.3, torch.randn(2, 10, generator=generator)
    rotations = aa_to_rotmat(pose.reshape(2, 16, 3))
    turned = aa_to_rotmat(torch.tensor([[off, 0.0, 0.0]])) @ rotations[:, :1]
    params = {"global_orient": turned.requires_grad_(), "hand_pose": rotations[:, 1:], "betas": betas}
    estimated = hand(**params, pose2rot=False)
    points = keypoints(2)
    output = {
        "pred_mano_params": params,
        "pred_vertices": estimated.vertices + 1.0,  # where the hand is does not count
        "pred_keypoints_3d": estimated.joints + 1.0,
        "pred_keypoints_2d": points[..., :2] + 0.01,
        "pred_heatmaps": torch.randn(2, 21, 32, 32, generator=generator),
        "pred_parts": torch.randn(2, 19, 32, 32, generator=generator),
        "pred_points": torch.randn(2, 21, 4, generator=generator),
    }
    batch = {
        "keypoints_2d": points,
        "keypoints_3d": torch.cat([estimated.joints.detach(), torch.ones(2, 21, 1)], -1),
        "mano_params": {"global_orient": pose[:, :3], "hand_pose": pose[:, 3:], "betas": betas},
        "has_mano_params": {name: torch.tensor([1.0, 0.0]) for name in params},
        "mano_params_is_axis_angle": {
            name: torch.tensor([name != "betas"] * 2) for name in ("global_orient", "hand_pose", "betas")
        },
        "parts": torch.zeros(2, 32, 32, dtype=torch.uint8),
    }
    return output, batch


def test_vertices_of_the_true_hand(hand: MANO) -> None:
    weights = {**PLAIN, "VERTICES": 1.0}
    output, batch = step(hand)
    _, losses = compute_loss(output, batch, weights, hand=hand)
    assert losses["loss_vertices"] < 1e-5  # metres, float32: the same hand, moved
    output, batch = step(hand, off=0.3)
    total, losses = compute_loss(output, batch, weights, hand=hand)
    relative = [output["pred_vertices"][0] - output["pred_keypoints_3d"][0, :1]]
    truth, _ = step(hand)
    relative.append(truth["pred_vertices"][0] - truth["pred_keypoints_3d"][0, :1])
    expected = (relative[0] - relative[1]).abs().sum(-1).mean()  # the second hand has no parameters
    torch.testing.assert_close(losses["loss_vertices"], expected.detach(), rtol=1e-4, atol=1e-6)  # float32 metres
    total.backward()
    gradient = output["pred_mano_params"]["global_orient"].grad
    assert gradient[0].abs().sum() > 0


def test_nothing_is_computed_unless_asked(hand: MANO, monkeypatch: pytest.MonkeyPatch) -> None:
    import hamer.models.losses as losses

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("computed although its weight is 0")

    output, batch = step(hand)
    before, parts = compute_loss(output, batch, PLAIN)
    for name in ("heatmap_loss", "part_loss", "point_loss", "vertex_loss"):
        monkeypatch.setattr(losses, name, never)
    more = ("VERTICES", "HEATMAPS", "PARTS", "POINTS")
    zero, same = compute_loss(output, batch, {**PLAIN, **dict.fromkeys(more, 0.0)}, hand=never)
    assert zero.equal(before)
    assert same.keys() == parts.keys()


def test_the_sum_of_all(hand: MANO) -> None:
    output, batch = step(hand, off=0.1)
    more = {"VERTICES": 0.5, "HEATMAPS": 0.01, "PARTS": 0.02, "POINTS": 0.3}
    total, losses = compute_loss(output, batch, {**PLAIN, **more}, hand=hand)
    before, _ = compute_loss(output, batch, PLAIN)
    added = sum(weight * losses[f"loss_{name.lower()}"] for name, weight in more.items())
    torch.testing.assert_close(total, before + added, rtol=1e-5, atol=0)  # another order of summation


@pytest.mark.parametrize("key", ["HEATMAPS", "PARTS", "POINTS"])
def test_maps_that_are_not_there(hand: MANO, key: str) -> None:
    output, batch = step(hand)
    without = {name: value for name, value in output.items() if name not in MAPS}
    with pytest.raises(ValueError, match=rf"LOSS_WEIGHTS.{key} must be 0 .*DENSE_HEAD"):
        compute_loss(without, batch, {**PLAIN, key: 1.0})
    if key == "PARTS":
        with pytest.raises(ValueError, match=r"DATASETS.PARTS: true"):
            compute_loss(output, {name: value for name, value in batch.items() if name != "parts"}, {**PLAIN, key: 1.0})
