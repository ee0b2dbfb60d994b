"""Errors in millimetres of a validation: means over hands, aligned as evaluations align them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hamer.checkpoints.hand_files import load_open_hand
from hamer.geometry.rotations import aa_to_rotmat
from hamer.models.mano_wrapper import MANO
from hamer.training.hand_errors import HandErrors


@pytest.fixture(scope="module")
def hand() -> MANO:
    return MANO(load_open_hand())


def case(hand: MANO, hands: int = 3) -> tuple[dict[str, Any], dict[str, Any]]:
    """A batch, and the output of a network that is right."""
    generator = torch.Generator().manual_seed(0)
    pose, betas = torch.randn(hands, 48, generator=generator) * 0.3, torch.randn(hands, 10, generator=generator)
    rotations = aa_to_rotmat(pose.reshape(hands, 16, 3))
    params = {"global_orient": rotations[:, :1], "hand_pose": rotations[:, 1:], "betas": betas}
    true = hand(**params, pose2rot=False)
    batch = {
        "keypoints_3d": torch.cat([true.joints + 0.5, torch.ones(hands, 21, 1)], -1),
        "mano_params": {"global_orient": pose[:, :3], "hand_pose": pose[:, 3:], "betas": betas},
        "has_mano_params": {name: torch.ones(hands) for name in params},
        "mano_params_is_axis_angle": {name: torch.full((hands,), name != "betas") for name in params},
    }
    return batch, {"pred_mano_params": params, "pred_keypoints_3d": true.joints, "pred_vertices": true.vertices}


def test_the_right_hand_has_no_error(hand: MANO) -> None:
    errors = HandErrors()
    errors.add(*case(hand), hand)
    means = errors.means()
    assert means.keys() == {"mpjpe", "pa_mpjpe", "pa_mpvpe"}
    assert max(means.values()) < 1e-3  # mm: float32 of metres


def test_turned_and_enlarged_hands(hand: MANO) -> None:
    batch, output = case(hand)
    turn = aa_to_rotmat(torch.tensor([0.0, 0.5, 0.0]))
    for name in ("pred_keypoints_3d", "pred_vertices"):
        output[name] = 1.2 * output[name] @ turn.T
    errors = HandErrors()
    errors.add(batch, output, hand)
    means = errors.means()
    assert means["mpjpe"] > 10
    assert means["pa_mpjpe"] < 1e-2  # what alignment takes out, mm, but for float32
    assert means["pa_mpvpe"] < 1e-2


def test_a_mean_over_all_hands_of_all_batches(hand: MANO) -> None:
    batch, output = case(hand)
    moved = output["pred_keypoints_3d"].clone()
    moved[1:, 5] += torch.tensor([0.021, 0.0, 0.0])  # one joint of 21, in two of three hands: 1 mm a hand
    errors = HandErrors()
    errors.add(batch, {**output, "pred_keypoints_3d": moved}, hand)
    errors.add(batch, output, hand)
    assert errors.means()["mpjpe"] == pytest.approx(2 / 6, abs=1e-3)
    assert errors.means() == {}  # it begins anew


def test_hands_without_truth_do_not_count(hand: MANO) -> None:
    batch, output = case(hand)
    batch["keypoints_3d"][0, 3, 3] = 0.0
    batch["has_mano_params"]["betas"][:] = 0.0
    output["pred_keypoints_3d"] = output["pred_keypoints_3d"].clone()
    output["pred_keypoints_3d"][0] += torch.randn(21, 3)
    errors = HandErrors()
    errors.add(batch, output, hand)
    means = errors.means()
    assert means.keys() == {"mpjpe", "pa_mpjpe"}
    assert means["mpjpe"] < 1e-3


def test_sums_of_all_processes(hand: MANO) -> None:
    errors = HandErrors()
    errors.add(*case(hand), hand)
    doubled = errors.means(lambda sums: 2 * sums)
    assert doubled["mpjpe"] < 1e-3


def test_no_float64_leaves_the_processor(golden_module: Any) -> None:
    """Apple's GPUs have none."""
    module, seen = golden_module(), []

    def reduce(values: torch.Tensor, reduce_op: str) -> torch.Tensor:
        seen.append((values.dtype, reduce_op))
        return values

    module._trainer = SimpleNamespace(strategy=SimpleNamespace(reduce=reduce))
    sums = torch.tensor([[1.5, 2.0], [3.0, 4.0]], dtype=torch.float64)
    assert module._summed(sums).tolist() == sums.tolist()
    assert seen == [(torch.float32, "sum")]
