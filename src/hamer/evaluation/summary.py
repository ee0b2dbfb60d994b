"""Means over the hands of an evaluation, with the counts that they rest on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hamer.evaluation.auc import area
from hamer.evaluation.pck import keypoint_l2, mean_pck, pck_per_joint
from hamer.hand_models.joints import JOINT_NAMES

if TYPE_CHECKING:
    from hamer.evaluation.results import EvaluationResult

_METRES = 1e-3


@dataclass(frozen=True)
class EvaluationSummary:
    """One figure a metric; None where no hand has the labels for it. Lengths in mm, shares 0 to 1.

    Attributes:
        hands, missed: how many were evaluated, and how many of them a detector did not find.
        hands_3d, hands_mesh, hands_2d: how many have labels of each kind.
        mpjpe: relative to the wrist; mean over a hand's labelled joints, then over hands, as in the original.
        pa_mpjpe: after Procrustes alignment by proper rotations; pa_mpjpe_reflecting: as FreiHAND's and HO-3D's programs.
        auc_*: area for 0 to 50 mm.
        mpvpe: relative to the wrist; pa_mpvpe, pa_mpvpe_reflecting: aligned by vertices.
        f_5, f_15: F-scores at 5 and 15 mm after alignment by proper rotations; `_reflecting` as the public programs.
        pck: threshold to mean over joints, in sides of the hand's box.
        pck_per_joint: threshold to joint to share; joints that are visible nowhere are missing here ...
        joints_never_visible: ... and listed here.
        kpl2: mean of confidence times squared distance, in squared sides of the box.
    """

    hands: int
    missed: int
    hands_3d: int
    hands_mesh: int
    hands_2d: int
    mpjpe: float | None
    pa_mpjpe: float | None
    pa_mpjpe_reflecting: float | None
    auc_pa: float | None
    auc_pa_reflecting: float | None
    mpvpe: float | None
    pa_mpvpe: float | None
    pa_mpvpe_reflecting: float | None
    auc_mesh_pa: float | None
    auc_mesh_pa_reflecting: float | None
    f_5: float | None
    f_15: float | None
    f_5_reflecting: float | None
    f_15_reflecting: float | None
    pck: dict[float, float]
    pck_per_joint: dict[float, dict[str, float]]
    joints_never_visible: tuple[str, ...]
    kpl2: float | None

    def as_dict(self) -> dict[str, Any]:
        """For json: threshold keys become texts."""
        return {
            **asdict(self),
            "pck": {str(t): v for t, v in self.pck.items()},
            "pck_per_joint": {str(t): v for t, v in self.pck_per_joint.items()},
            "joints_never_visible": list(self.joints_never_visible),
        }


def summarise(result: EvaluationResult, thresholds: tuple[float, ...]) -> EvaluationSummary:
    """The figures of `result`, PCK at `thresholds`."""
    shares, means = pck_per_joint(result.keypoint_error, thresholds), mean_pck(result.keypoint_error, thresholds)
    seen = ~np.isnan(result.keypoint_error)
    visible_joints, with_2d = seen.any(0), seen.any(1)
    has_2d = bool(with_2d.any())
    return EvaluationSummary(
        hands=len(result),
        missed=int((~result.found).sum()),
        hands_3d=int((~np.isnan(result.joint_error)).any(1).sum()),
        hands_mesh=int((~np.isnan(result.vertex_error)).sum()),
        hands_2d=int(with_2d.sum()),
        mpjpe=_mean_of_hands(result.joint_error_root),
        pa_mpjpe=_mean_of_hands(result.joint_error_proper),
        pa_mpjpe_reflecting=_mean_of_hands(result.joint_error_reflecting),
        auc_pa=_joint_area(result.joint_error_proper),
        auc_pa_reflecting=_joint_area(result.joint_error_reflecting),
        mpvpe=_mean(result.vertex_error_root),
        pa_mpvpe=_mean(result.vertex_error_proper),
        pa_mpvpe_reflecting=_mean(result.vertex_error_reflecting),
        auc_mesh_pa=_mean(result.vertex_auc_proper),
        auc_mesh_pa_reflecting=_mean(result.vertex_auc_reflecting),
        f_5=_mean(result.f_score_proper[:, 0]),
        f_15=_mean(result.f_score_proper[:, 1]),
        f_5_reflecting=_mean(result.f_score_reflecting[:, 0]),
        f_15_reflecting=_mean(result.f_score_reflecting[:, 1]),
        pck={t: float(v) for t, v in zip(thresholds, means, strict=True)} if has_2d else {},
        pck_per_joint=(
            {
                t: {JOINT_NAMES[j]: float(row[j]) for j in np.flatnonzero(visible_joints)}
                for t, row in zip(thresholds, shares, strict=True)
            }
            if has_2d
            else {}
        ),
        joints_never_visible=tuple(JOINT_NAMES[j] for j in np.flatnonzero(~visible_joints)) if has_2d else (),
        kpl2=_mean(_kpl2(result)),
    )


def _kpl2(result: EvaluationResult) -> np.ndarray:
    """Per hand; NaN for hands without keypoints and for those that were not found."""
    with_2d = (~np.isnan(result.keypoint_error)).any(1) & result.found
    return np.where(with_2d, keypoint_l2(result.keypoint_error, result.keypoint_confidence), np.nan)


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)].astype(np.float64)
    return float(known.mean()) if len(known) else None


def _mean_of_hands(errors: np.ndarray) -> float | None:
    """Mean over joints with labels, then over hands that have any."""
    labelled = ~np.isnan(errors)
    hands = labelled.any(1)
    sums = np.where(labelled, errors, 0.0).astype(np.float64).sum(1)
    return _mean(sums[hands] / labelled.sum(1)[hands])


def _joint_area(errors: np.ndarray) -> float | None:
    """Mean over hands for each joint, then over joints, as the public programs average."""
    areas = area(torch.from_numpy(errors.astype(np.float64) * _METRES)).numpy()
    per_joint = [m for m in (_mean(column) for column in areas.T) if m is not None]
    return float(np.mean(per_joint)) if per_joint else None
