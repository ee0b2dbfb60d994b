"""Hands whose crops show another hand: their own labels and landmarks, the other's for the maps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hamer.models.losses import compute_loss
from hamer.training.crop_exchange import SHOWN, CropExchange
from hamer.training.options import TrainingOptions

N = 64


def batch(hands: int = N) -> dict[str, Any]:
    """Hands whose pictures, labels and landmarks all hold the hand's number; every fourth has no landmarks."""
    number = torch.arange(hands, dtype=torch.float32)
    landmarks = torch.ones(hands, 21, 7) * number[:, None, None]
    landmarks[..., 6] = (torch.arange(hands) % 4 > 0).float()[:, None]
    return {
        "img": torch.ones(hands, 3, 8, 8) * number[:, None, None, None],
        "landmarks": landmarks,
        "keypoints_2d": torch.ones(hands, 21, 3) * number[:, None, None],
        "keypoints_3d": torch.ones(hands, 21, 4) * number[:, None, None],
        "parts": torch.zeros(hands, 32, 32, dtype=torch.uint8) + torch.arange(hands, dtype=torch.uint8)[:, None, None],
        "other": object(),
    }


def sources(exchanged: Any) -> torch.Tensor:
    """Which hand each crop shows."""
    return exchanged["img"][:, 0, 0, 0].long()


def test_crops_and_the_labels_of_maps_go_together_and_the_rest_stays() -> None:
    torch.manual_seed(0)
    before = batch()
    changed = CropExchange(0.5)(before)
    shown = sources(changed)
    assert (shown != torch.arange(N)).sum() > 10
    for name in ("keypoints_2d", "keypoints_3d", "parts"):
        assert torch.equal(changed[SHOWN][name], before[name][shown]), name
        assert changed[name] is before[name], name
    assert changed["landmarks"] is before["landmarks"]
    assert changed["other"] is before["other"]
    assert torch.equal(before["img"], batch()["img"])


def test_the_share_is_that_of_hands_with_landmarks() -> None:
    torch.manual_seed(0)
    exchanged = torch.stack([sources(CropExchange(0.3)(batch())) != torch.arange(N) for _ in range(200)]).float()
    has = batch()["landmarks"][:, 0, 6] > 0
    assert exchanged[:, has].mean() == pytest.approx(0.3, abs=0.02)
    assert exchanged[:, ~has].sum() == 0
    assert (sources(CropExchange(1.0)(batch()))[has] != torch.arange(N)[has]).all()  # never one's own


def test_half_of_the_others_look_alike() -> None:
    """Hands whose joints lie a step apart: of half of the batch the nearest is a few steps away, any other a third of all."""
    torch.manual_seed(0)
    steps = torch.cat([(sources(CropExchange(1.0)(batch())) - torch.arange(N)).abs() for _ in range(50)])
    near = (steps[steps > 0] <= 4).float().mean()
    assert 0.45 < near < 0.7


def test_without_it_or_without_landmarks_or_alone_nothing_is_changed_or_drawn() -> None:
    without = {name: value for name, value in batch().items() if name != "landmarks"}
    state = torch.get_rng_state()
    for exchange, given in ((CropExchange(), batch()), (CropExchange(0.9), without), (CropExchange(0.9), batch(1))):
        assert exchange(given) is given
    assert torch.equal(state, torch.get_rng_state())


def test_maps_are_compared_with_what_the_crop_shows() -> None:
    torch.manual_seed(0)
    logits, points = torch.randn(2, 21, 32, 32), torch.randn(2, 21, 4)
    labels = {
        "keypoints_2d": torch.cat([torch.rand(2, 21, 2) - 0.5, torch.ones(2, 21, 1)], -1),
        "keypoints_3d": torch.cat([torch.randn(2, 21, 3) / 10, torch.ones(2, 21, 1)], -1),
    }
    output = {
        "pred_keypoints_2d": torch.randn(2, 21, 2), "pred_keypoints_3d": torch.randn(2, 21, 3), "pred_mano_params": {},
        "pred_heatmaps": logits, "pred_points": points,
    }  # fmt: skip
    weights = {"KEYPOINTS_2D": 1.0, "KEYPOINTS_3D": 1.0, "HEATMAPS": 1.0, "POINTS": 1.0}
    own = {**labels, "mano_params": {}, "has_mano_params": {}, "mano_params_is_axis_angle": {}}
    other = {name: value.flip(0) for name, value in labels.items()}
    _, plain = compute_loss(output, own, weights)
    _, flipped = compute_loss(output, own | other, weights)
    _, exchanged = compute_loss(output, own | {SHOWN: other}, weights)
    for name in ("loss_keypoints_2d", "loss_keypoints_3d"):
        assert exchanged[name] == plain[name] != flipped[name]
    for name in ("loss_heatmaps", "loss_points"):
        assert exchanged[name] == flipped[name] != plain[name]


def test_the_configuration_sets_it_and_a_share_that_is_none_is_refused() -> None:
    weights = {"KEYPOINTS_2D": 1.0}
    assert (
        TrainingOptions.from_cfg({"TRAIN": {"CROP_EXCHANGE": 0.25}, "LOSS_WEIGHTS": weights}).crop_exchange.rate == 0.25
    )
    assert TrainingOptions.from_cfg({"LOSS_WEIGHTS": weights}).crop_exchange.rate == 0
    with pytest.raises(ValueError, match=r"TRAIN\.CROP_EXCHANGE must be in \[0, 1\]"):
        CropExchange(1.5)
