"""Losses, discriminator and gradients against one training step of the original."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer.geometry.rotations import aa_to_rotmat
from hamer.models import HAMER
from hamer.models.losses import (
    Keypoint2DLoss,
    Keypoint3DLoss,
    ParameterLoss,
    compute_loss,
    discriminator_loss,
    generator_loss,
)

WEIGHTS = {"KEYPOINTS_3D": 0.05, "KEYPOINTS_2D": 0.01, "GLOBAL_ORIENT": 0.001, "HAND_POSE": 0.001, "BETAS": 0.0005}
ADVERSARIAL = 0.0005
LOSSES, GRADIENTS = 1e-5, 1e-4  # the golden README's; two runs of the original differ by 1e-6


def tensors(file: Any, start: str) -> dict[str, Any]:
    """The arrays whose dotted names begin with `start`, as nested dicts of tensors."""
    tree: dict[str, Any] = {}
    for name in file.files:
        if name.startswith(start):
            node = tree
            *parents, last = name.removeprefix(start).split(".")
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = torch.from_numpy(file[name])
    return tree


@pytest.fixture(scope="module")
def step(golden: Path) -> Any:
    return np.load(golden / "hamer_small" / "train_step.npz")


def variant(batch: dict[str, Any], name: str) -> dict[str, Any]:
    """The batch as the golden variants change it."""
    batch = copy.deepcopy(batch)
    if name in ("has_all", "has_all_rotmat"):
        batch["has_mano_params"] = {key: torch.ones_like(v) for key, v in batch["has_mano_params"].items()}
    if name == "has_none":
        batch["has_mano_params"] = {key: torch.zeros_like(v) for key, v in batch["has_mano_params"].items()}
    if name == "has_all_rotmat":
        for key in ("global_orient", "hand_pose"):
            batch["mano_params"][key] = aa_to_rotmat(batch["mano_params"][key].reshape(2, -1, 3))
            batch["mano_params_is_axis_angle"][key] = torch.tensor([False, False])
    if name == "no_keypoints":
        batch["keypoints_2d"][..., -1] = 0
        batch["keypoints_3d"][..., -1] = 0
    return batch


@pytest.mark.parametrize("folder", ["hamer", "hamer_small"])
@pytest.mark.parametrize("name", ["as_given", "has_all", "has_none", "has_all_rotmat", "no_keypoints"])
def test_losses_of_a_batch(golden: Path, folder: str, name: str) -> None:
    file = np.load(golden / folder / "train_step.npz")
    batch = variant(tensors(file, "batch."), name)
    total, parts = compute_loss(tensors(file, "output."), batch, WEIGHTS)
    expected = tensors(file, f"loss.{name}.")
    torch.testing.assert_close(total, expected.pop("total"), rtol=LOSSES, atol=0)
    assert parts.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(parts[key], value, rtol=LOSSES, atol=0, msg=key)


def test_single_losses(golden: Path) -> None:
    file = np.load(golden / "hamer" / "losses.npz")
    t = {key: torch.from_numpy(file[key]) for key in file.files}
    results = {
        "kp2d_l1": Keypoint2DLoss()(t["kp2d_pred"], t["kp2d_gt"]),
        "kp2d_l2": Keypoint2DLoss("l2")(t["kp2d_pred"], t["kp2d_gt"]),
        "kp3d_l1": Keypoint3DLoss()(t["kp3d_pred"], t["kp3d_gt"]),
        "kp3d_l1_root5": Keypoint3DLoss()(t["kp3d_pred"], t["kp3d_gt"], pelvis_id=5),
        "kp3d_l2": Keypoint3DLoss("l2")(t["kp3d_pred"], t["kp3d_gt"]),
        "param_loss": ParameterLoss()(t["param_pred"], t["param_gt"], t["param_has"]),
    }
    for key, value in results.items():
        torch.testing.assert_close(value, t[key], rtol=LOSSES, atol=0, msg=key)


def test_discriminator(golden: Path, small: HAMER) -> None:
    file = np.load(golden / "hamer" / "losses.npz")
    with torch.inference_mode():
        scores = small.discriminator(torch.from_numpy(file["disc_pose"]), torch.from_numpy(file["disc_betas"]))
    np.testing.assert_allclose(scores, file["disc_out"], rtol=LOSSES, atol=1e-6)  # scores pass through zero


def test_unknown_loss_type_and_mixed_poses_are_refused() -> None:
    with pytest.raises(ValueError, match="'l1' or 'l2'"):
        Keypoint2DLoss("huber")
    from hamer.models.losses import as_rotmat

    with pytest.raises(ValueError, match="some of each"):
        as_rotmat(torch.zeros(2, 3), torch.tensor([True, False]))


def test_gradients_of_a_training_step(golden: Path, small: HAMER, step: Any) -> None:
    """Generator and discriminator, as the original's two updates see them (backbone in evaluation mode)."""
    model = copy.deepcopy(small).train()
    model.backbone.eval()
    batch, mocap = tensors(step, "batch."), tensors(step, "mocap.")
    crops = np.load(golden / "hamer" / "preprocess.npz")["img"][step["img_index_in_preprocess"]]
    output = model({"img": torch.from_numpy(crops)})
    expected = tensors(step, "output.")
    torch.testing.assert_close(output["pred_vertices"], expected["pred_vertices"], atol=2e-5, rtol=0)

    loss, _ = compute_loss(output, batch, WEIGHTS)
    pose, betas = output["pred_mano_params"]["hand_pose"], output["pred_mano_params"]["betas"]
    adversarial = generator_loss(model.discriminator(pose, betas))
    norms = json.loads((golden / "hamer_small" / "train_step_grad_norms.json").read_text())
    (loss + ADVERSARIAL * adversarial).backward()
    np.testing.assert_allclose(adversarial.item(), step["step.losses.loss_gen"], rtol=LOSSES)
    compare_gradients(model, step, norms, lambda name: not name.startswith("discriminator."))

    model.discriminator.zero_grad()
    captured = model.discriminator(aa_to_rotmat(mocap["hand_pose"].reshape(-1, 15, 3)), mocap["betas"])
    adversary = discriminator_loss(model.discriminator(pose.detach(), betas.detach()), captured)
    (ADVERSARIAL * adversary).backward()
    np.testing.assert_allclose(adversary.item(), step["step.losses.loss_disc"], rtol=LOSSES)
    compare_gradients(model, step, norms, lambda name: name.startswith("discriminator."))


def compare_gradients(model: HAMER, step: Any, norms: dict[str, Any], chosen: Any) -> None:
    for name, parameter in model.named_parameters():
        if not chosen(name):
            continue
        assert parameter.grad is not None, name
        norm = parameter.grad.norm().item()
        # what is zero but for rounding: keys that only meet a softmax over one entry, the weight of a zero input
        np.testing.assert_allclose(norm, norms["parameters"][name], rtol=GRADIENTS, atol=1e-9, err_msg=name)
        if f"step.grad.{name}" in step.files:
            expected = step[f"step.grad.{name}"]
            np.testing.assert_allclose(
                parameter.grad, expected, rtol=GRADIENTS, atol=GRADIENTS * np.abs(expected).max()
            )
