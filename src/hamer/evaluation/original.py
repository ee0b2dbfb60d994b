"""The original's evaluator, with its arguments, its figures and its faults (drop-in; `hamer.utils.pose_utils`).

It changes predictions in place: 3D joints become relative to `pelvis_ind`, and with PCK thresholds the x of left hands'
2D keypoints is negated, after which kpl2 compares them with keypoints that were not. `HandEvaluator` has none of this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hamer.evaluation.fingertips import HO3D_ORDER
from hamer.evaluation.pck import ORIGINAL_THRESHOLDS
from hamer.geometry.similarity import align, apply_similarity

_MILLIMETRE_METRICS = ("mode_mpjpe", "mode_re", "min_mpjpe", "min_re")


def compute_similarity_transform(S1: Tensor, S2: Tensor) -> Tensor:
    """`S1` (B, N, 3) turned, scaled and moved to `S2`, never reflected; NaN where all points of `S1` coincide."""
    scale, rotation, translation = align(S1, S2)
    extent = (S1 - S1.mean(1, keepdim=True)).square().sum((1, 2))
    return apply_similarity(S1, scale.where(extent > 0, torch.nan), rotation, translation)


def reconstruction_error(S1: Tensor, S2: Tensor) -> Tensor:
    """Mean distance (B,) between (B, N, 3) points after that alignment, in their unit."""
    return (compute_similarity_transform(S1, S2) - S2).norm(dim=-1).mean(-1)


def eval_pose(pred_joints: Tensor, gt_joints: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean joint errors (B,) in mm of (B, N, 3) joints in metres: as they are, and aligned."""
    mpjpe = (pred_joints - gt_joints).norm(dim=-1).mean(-1)
    return 1000 * mpjpe.cpu().numpy(), 1000 * reconstruction_error(pred_joints, gt_joints).cpu().numpy()


class Evaluator:
    """Errors and predictions of a data set, batch by batch, as the original's `eval.py` collects them.

    Each metric is an attribute of length `dataset_length`, filled up to `counter`. `min_*` are those of the only sample,
    so equal to `mode_*`.
    """

    def __init__(
        self,
        dataset_length: int,
        dataset: str,
        keypoint_list: Sequence[int],
        pelvis_ind: int,
        metrics: Sequence[str] | None = ("mode_mpjpe", "mode_re", "min_mpjpe", "min_re"),
        preds: Sequence[str] | None = ("vertices", "keypoints_3d"),
        pck_thresholds: Sequence[float] | None = None,
    ) -> None:
        """
        Args:
            dataset_length: how many samples may come.
            dataset: its name; the joints of HO3D-VAL are kept in that set's order.
            keypoint_list: joints that 3D metrics are averaged over.
            pelvis_ind: joint that 3D points are made relative to.
            metrics: of mode_mpjpe, mode_re, mode_kpl2 and the same with min_, opt_mpjpe, opt_re.
            preds: which predictions to keep: vertices, keypoints_3d.
            pck_thresholds: also gather PCK of 2D keypoints.
        """
        self.dataset_length = dataset_length
        self.dataset = dataset
        self.keypoint_list = keypoint_list
        self.pelvis_ind = pelvis_ind
        self.metrics = metrics
        self.preds = preds
        for metric in metrics or ():
            setattr(self, metric, np.zeros(dataset_length))
        self._kept: dict[str, list[np.ndarray]] = {name: [] for name in preds or ()}
        self.counter = 0
        self.pck_evaluator = None if pck_thresholds is None else EvaluatorPCK(pck_thresholds)

    def log(self) -> None:
        """Print the metrics so far."""
        if self.counter == 0:
            _say("Evaluation has not started")
            return
        _say(f"{self.counter} / {self.dataset_length} samples")
        if self.pck_evaluator is not None:
            self.pck_evaluator.log()
        for metric in self.metrics or ():
            unit = " mm" if metric in _MILLIMETRE_METRICS else ""
            _say(f"{metric}: {getattr(self, metric)[: self.counter].mean()}{unit}")
        _say("***")

    def get_metrics_dict(self) -> dict[str, float]:
        """Mean of each metric, and PCK. Raises TypeError without metrics, as the original does."""
        if self.metrics is None:
            raise TypeError("this Evaluator was made with metrics=None: it only keeps predictions (get_preds_dict)")
        means = {metric: float(getattr(self, metric)[: self.counter].mean()) for metric in self.metrics}
        return means | (self.pck_evaluator.get_metrics_dict() if self.pck_evaluator is not None else {})

    def get_preds_dict(self) -> dict[str, np.ndarray]:
        """Predictions that were kept: `vertices` (N, V, 3) as they came, `keypoints_3d` (N, 21, 3) relative to the pelvis."""
        empty = {"vertices": (0, 778, 3), "keypoints_3d": (0, 21, 3)}
        return {name: np.concatenate(kept) if kept else np.zeros(empty[name]) for name, kept in self._kept.items()}

    def __call__(
        self, output: dict[str, Tensor], batch: Mapping[str, Any], opt_output: dict[str, Tensor] | None = None
    ) -> dict[str, np.ndarray]:
        """Evaluate a batch; `output`'s tensors are changed as the head of this module says.

        Args:
            output: `pred_keypoints_3d`, `pred_vertices`, `pred_keypoints_2d`.
            batch: `keypoints_3d` (N, 21, 4), `keypoints_2d` (N, 21, 3) and `bbox_expand_factor` for kpl2; for PCK see below.
            opt_output: `model_joints` of an optimisation, for opt_mpjpe and opt_re.

        Returns:
            This batch's `mode_mpjpe` and `mode_re`, if both are asked for.
        """
        if self.pck_evaluator is not None:
            self.pck_evaluator(output, batch, opt_output)
        predicted = output["pred_keypoints_3d"].detach()
        predicted -= predicted[:, [self.pelvis_ind]]
        truth = batch["keypoints_3d"][:, :, :-1]
        truth = truth - truth[:, [self.pelvis_ind]]
        joints = list(self.keypoint_list)
        mpjpe, re = eval_pose(predicted[:, joints], truth[:, joints])
        errors = {"mpjpe": mpjpe, "re": re}
        if hasattr(self, "mode_kpl2") or hasattr(self, "min_kpl2"):
            errors["kpl2"] = _kpl2(output["pred_keypoints_2d"].detach(), batch)
        batch_errors = {f"{which}_{name}": values for which in ("mode", "min") for name, values in errors.items()}
        if opt_output is not None:
            optimised = opt_output["model_joints"]
            optimised -= optimised[:, [self.pelvis_ind]]
            batch_errors["opt_mpjpe"], batch_errors["opt_re"] = eval_pose(optimised[:, joints], truth[:, joints])
        self._keep(output, predicted)
        rows = slice(self.counter, self.counter + len(predicted))
        for name in set(self.metrics or ()) & set(batch_errors):
            getattr(self, name)[rows] = batch_errors[name]
        self.counter += len(predicted)
        both = ("mode_mpjpe", "mode_re")
        return {name: batch_errors[name] for name in both} if all(hasattr(self, name) for name in both) else {}

    def _keep(self, output: dict[str, Tensor], joints: Tensor) -> None:
        if "vertices" in self._kept:
            self._kept["vertices"].append(output["pred_vertices"].detach().cpu().numpy().copy())
        if "keypoints_3d" in self._kept:
            ordered = joints[:, list(HO3D_ORDER)] if self.dataset == "HO3D-VAL" else joints
            self._kept["keypoints_3d"].append(ordered.cpu().numpy().copy())


def _kpl2(predicted: Tensor, batch: Mapping[str, Any]) -> np.ndarray:
    """Confidence times squared distance in the tight box's units, (N,); the factor enlarges the confidence too."""
    factor = batch["bbox_expand_factor"][:, None, None]
    truth = batch["keypoints_2d"] * factor
    squared = (predicted * factor - truth[..., :2]).square().sum(-1)
    return (truth[..., 2] * squared).mean(1).cpu().numpy()


class EvaluatorPCK:
    """Share of visible 2D keypoints within each threshold, in sides of the hand's box, as the original gathers it."""

    def __init__(self, thresholds: Sequence[float] = ORIGINAL_THRESHOLDS) -> None:
        self.thresholds = thresholds
        self.pred_kp_2d: list[np.ndarray] = []
        self.gt_kp_2d: list[np.ndarray] = []
        self.gt_conf_2d: list[np.ndarray] = []
        self.scale: list[np.ndarray] = []
        self.counter = 0

    def log(self) -> None:
        """Print the shares so far."""
        if self.counter == 0:
            _say("Evaluation has not started")
            return
        _say(f"{self.counter} samples")
        for name, value in self.get_metrics_dict().items():
            _say(f"{name}: {value}")
        _say("***")

    def get_metrics_dict(self) -> dict[str, float]:
        """`kp<i>_pck_<threshold>` and their mean `kpAvg_pck_<threshold>`: NaN, and no entry, for a joint never visible."""
        figures: dict[str, float] = {}
        for threshold, (shares, mean, _count) in zip(self.thresholds, self.compute_pcks(), strict=True):
            figures |= {f"kp{i}_pck_{threshold}": float(share) for i, share in enumerate(shares) if share >= 0}
            figures[f"kpAvg_pck_{threshold}"] = mean
        return figures

    def compute_pcks(self) -> list[tuple[np.ndarray, float, int]]:
        """For each threshold: share of each joint (21,), their mean, number of joints."""
        predicted, truth = np.concatenate(self.pred_kp_2d)[:, 0], np.concatenate(self.gt_kp_2d)[:, 0]
        visible = np.concatenate(self.gt_conf_2d)[:, 0] > 0.5
        distances = np.linalg.norm(predicted - truth, axis=-1) / np.concatenate(self.scale)[:, None]
        with np.errstate(invalid="ignore"):  # 0 / 0 of a joint never visible
            shares = [((distances < t) & visible).sum(0) / visible.sum(0) for t in self.thresholds]
        return [(share, float(share.mean()), len(share)) for share in shares]

    def __call__(
        self, output: dict[str, Tensor], batch: Mapping[str, Any], opt_output: dict[str, Tensor] | None = None
    ) -> None:
        """Gather a batch; the x of left hands in `output["pred_keypoints_2d"]` is negated in place.

        Args:
            output: `pred_keypoints_2d` (N, 21, 2) in the enlarged, for left hands mirrored, crop.
            batch: `right`, `box_size`, `box_center`, `bbox_expand_factor`, `orig_keypoints_2d` (N, 21, 3) px.
            opt_output: not used; the original's argument.
        """
        in_crop = output["pred_keypoints_2d"].detach()
        in_crop[:, :, 0] *= (2 * batch["right"] - 1)[:, None]
        size = batch["box_size"]
        in_picture = in_crop * size[:, None, None] + batch["box_center"][:, None]
        truth = batch["orig_keypoints_2d"]
        self.pred_kp_2d.append(in_picture[:, None].cpu().numpy())
        self.gt_kp_2d.append(truth[:, None, :, :2].cpu().numpy())
        self.gt_conf_2d.append(truth[:, None, :, 2].cpu().numpy())
        self.scale.append((size / batch["bbox_expand_factor"]).cpu().numpy())
        self.counter += len(in_crop)


def _say(line: str) -> None:
    print(line)  # noqa: T201 - `log` prints in the original, and its callers expect that
