"""What training minimises, as plain functions; the classes at the end carry the original's names.

Letters: B hands of the batch, P numbers of a parameter. Every loss is a sum over the batch, as the original's, so
    weights in
the configuration mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from hamer.geometry.rotations import aa_to_rotmat
from hamer.models.dense_losses import heatmap_loss, part_loss, point_loss


def keypoint_2d_loss(
    predicted: Float[Tensor, "*batch 2"], target: Float[Tensor, "*batch 3"], loss_type: str = "l1"
) -> Float[Tensor, ""]:
    """Distance of projected keypoints, weighted by confidence, summed.

    Args:
        predicted: crop widths, origin at the crop's centre.
        target: the same and a confidence.
        loss_type: absolute ("l1") or squared ("l2") differences.
    """
    return (target[..., 2:] * _difference(predicted, target[..., :2], loss_type)).sum()


def keypoint_3d_loss(
    predicted: Float[Tensor, "*batch joints 3"],
    target: Float[Tensor, "*batch joints 4"],
    loss_type: str = "l1",
    root: int = 0,
) -> Float[Tensor, ""]:
    """Distance of keypoints relative to joint `root`, weighted by confidence, summed.

    Args:
        predicted: metres.
        target: metres and a confidence.
        loss_type: absolute ("l1") or squared ("l2") differences.
        root: the joint that both sides are moved to.
    """
    points = target[..., :3]
    relative = predicted - predicted[..., root : root + 1, :]
    return (target[..., 3:] * _difference(relative, points - points[..., root : root + 1, :], loss_type)).sum()


def parameter_loss(
    predicted: Float[Tensor, "*batch P"],
    target: Float[Tensor, "*batch P"],
    has_target: Shaped[Tensor, "*batch"],
) -> Float[Tensor, ""]:
    """Squared difference of parameters of those hands that have them (`has_target` 1 or 0), summed."""
    per_hand = (predicted - target).square().sum(-1)
    return (has_target.to(per_hand.dtype) * per_hand).sum()


def vertex_loss(
    predicted: Float[Tensor, "B V 3"], target: Float[Tensor, "B V 3"], has_target: Shaped[Tensor, "B"]
) -> Float[Tensor, ""]:
    """Absolute differences of vertices that are relative to their roots, a mean over a hand's vertices, summed over hands.

    Args:
        predicted: metres.
        target: metres.
        has_target: 1 or 0.
    """
    per_hand = (predicted - target).abs().sum(-1).mean(-1)
    return (has_target.to(per_hand.dtype) * per_hand).sum()


def generator_loss(scores: Float[Tensor, "B scores"]) -> Float[Tensor, ""]:
    """How far the discriminator's scores of estimated hands are from 1: summed over scores, mean over hands."""
    return (scores - 1).square().sum() / scores.shape[0]


def discriminator_loss(estimated: Float[Tensor, "B scores"], captured: Float[Tensor, "M scores"]) -> Float[Tensor, ""]:
    """How far scores are from 0 for estimated hands and from 1 for captured ones.

    Both sums are divided by B: the original's captured batch is twice as large and counts twice, which is kept.
    """
    return (estimated.square().sum() + (captured - 1).square().sum()) / estimated.shape[0]


def compute_loss(
    output: Mapping[str, Any],
    batch: Mapping[str, Any],
    weights: Mapping[str, float],
    *,
    root: int = 0,
    hand: Callable[..., Any] | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted loss of a forward pass, without the adversarial term.

    Args:
        output: what `HAMER.forward` returns.
        batch: `keypoints_2d` (B, 21, 3), `keypoints_3d` (B, 21, 4), and per parameter name in `mano_params`
            (axis-angle or matrices), `has_mano_params` (B,), `mano_params_is_axis_angle` (B,); where crops show other
            hands (`hamer.training.crop_exchange`) `shown`, the labels of these, which maps are compared with.
        weights: `cfg.LOSS_WEIGHTS`: KEYPOINTS_2D, KEYPOINTS_3D, GLOBAL_ORIENT, HAND_POSE, BETAS; and, where they are above
            0, VERTICES, and HEATMAPS, PARTS and POINTS of a network with a dense head.
        root: joint that 3D keypoints and vertices are relative to.
        hand: the network's hand layer, for VERTICES.

    Returns:
        the weighted sum, and the unweighted parts with it under the original's names (`loss`, `loss_keypoints_2d` ...),
        detached.

    Raises:
        ValueError: a weight asks for maps that the network does not have, or labels that the batch does not have.
    """
    parts = {
        "keypoints_2d": keypoint_2d_loss(output["pred_keypoints_2d"], batch["keypoints_2d"]),
        "keypoints_3d": keypoint_3d_loss(output["pred_keypoints_3d"], batch["keypoints_3d"], root=root),
    }
    truth: dict[str, Tensor] = {}
    for name, predicted in output["pred_mano_params"].items():
        target = batch["mano_params"][name].to(predicted.dtype)
        if name != "betas":
            target = as_rotmat(target, batch["mano_params_is_axis_angle"][name])
        has_target = batch["has_mano_params"][name]
        parts[name] = parameter_loss(predicted.flatten(1), target.reshape(len(target), -1), has_target)
        truth[name] = target
    if weights.get("VERTICES", 0) > 0:
        parts["vertices"] = _vertices(output, truth, batch["has_mano_params"], root, hand)
    parts |= _dense(output, {**batch, **batch.get("shown", {})}, weights, root)
    total = torch.stack([weights[name.upper()] * value for name, value in parts.items()]).sum()
    return total, {"loss": total.detach()} | {f"loss_{name}": value.detach() for name, value in parts.items()}


def _vertices(
    output: Mapping[str, Any],
    truth: Mapping[str, Tensor],
    has: Mapping[str, Tensor],
    root: int,
    hand: Callable[..., Any] | None,
) -> Tensor:
    """`vertex_loss` of an output; the true vertices are the hand's under the true parameters."""
    assert hand is not None, "LOSS_WEIGHTS.VERTICES needs the hand layer"
    with torch.no_grad():
        true = hand(**truth, pose2rot=False)
    has_all = torch.stack([has[name].reshape(-1) > 0 for name in truth]).all(0)
    joints, true_joints = output["pred_keypoints_3d"], true.joints
    return vertex_loss(
        output["pred_vertices"] - joints[:, root : root + 1], true.vertices - true_joints[:, root : root + 1], has_all
    )


def _dense(
    output: Mapping[str, Any], batch: Mapping[str, Any], weights: Mapping[str, float], root: int
) -> dict[str, Tensor]:
    losses: dict[str, Tensor] = {}
    if weights.get("HEATMAPS", 0) > 0:
        losses["heatmaps"] = heatmap_loss(_maps(output, "pred_heatmaps", "HEATMAPS"), batch["keypoints_2d"])
    if weights.get("PARTS", 0) > 0:
        if "parts" not in batch:
            raise ValueError("LOSS_WEIGHTS.PARTS above 0 needs labels, `parts` of the batch: set DATASETS.PARTS: true")
        losses["parts"] = part_loss(_maps(output, "pred_parts", "PARTS"), batch["parts"])
    if weights.get("POINTS", 0) > 0:
        points = _maps(output, "pred_points", "POINTS")
        losses["points"] = point_loss(points, batch["keypoints_2d"], batch["keypoints_3d"], root=root)
    return losses


def _maps(output: Mapping[str, Any], name: str, key: str) -> Tensor:
    if name not in output:
        raise ValueError(f"LOSS_WEIGHTS.{key} must be 0 for a network whose MODEL.DENSE_HEAD makes no {name}")
    return output[name]


def as_rotmat(pose: Float[Tensor, "B ..."], is_axis_angle: Bool[Tensor, "B"]) -> Float[Tensor, "B J 3 3"]:
    """Rotation matrices of a batch of poses that are all axis-angle (B, 3 J) or all matrices (B, J, 3, 3).

    Raises:
        ValueError: some of each.
    """
    if bool(is_axis_angle.all()):
        return aa_to_rotmat(pose.reshape(len(pose), -1, 3))
    if bool(is_axis_angle.any()):
        raise ValueError("mano_params_is_axis_angle must be the same for the whole batch, got some of each")
    return pose.reshape(len(pose), -1, 3, 3)


def _difference(predicted: Tensor, target: Tensor, loss_type: str) -> Tensor:
    if loss_type not in ("l1", "l2"):
        raise ValueError(f"loss_type must be 'l1' or 'l2', got {loss_type!r}")
    difference = predicted - target
    return difference.abs() if loss_type == "l1" else difference.square()


class Keypoint2DLoss(nn.Module):
    """`keypoint_2d_loss` under the original's name."""

    def __init__(self, loss_type: str = "l1") -> None:
        super().__init__()
        if loss_type not in ("l1", "l2"):
            raise ValueError(f"loss_type must be 'l1' or 'l2', got {loss_type!r}")
        self.loss_type = loss_type

    def forward(self, pred_keypoints_2d: Tensor, gt_keypoints_2d: Tensor) -> Tensor:
        """See `keypoint_2d_loss`."""
        return keypoint_2d_loss(pred_keypoints_2d, gt_keypoints_2d, self.loss_type)


class Keypoint3DLoss(nn.Module):
    """`keypoint_3d_loss` under the original's name."""

    def __init__(self, loss_type: str = "l1") -> None:
        super().__init__()
        if loss_type not in ("l1", "l2"):
            raise ValueError(f"loss_type must be 'l1' or 'l2', got {loss_type!r}")
        self.loss_type = loss_type

    def forward(self, pred_keypoints_3d: Tensor, gt_keypoints_3d: Tensor, pelvis_id: int = 0) -> Tensor:
        """See `keypoint_3d_loss`; `pelvis_id` is its root."""
        return keypoint_3d_loss(pred_keypoints_3d, gt_keypoints_3d, self.loss_type, root=pelvis_id)


class ParameterLoss(nn.Module):
    """`parameter_loss` under the original's name."""

    def forward(self, pred_param: Tensor, gt_param: Tensor, has_param: Tensor) -> Tensor:
        """See `parameter_loss`; parameters of any shape (B, ...)."""
        return parameter_loss(pred_param.flatten(1), gt_param.flatten(1), has_param.flatten())
