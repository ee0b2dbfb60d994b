"""Which annotations train, and what of them is believed: the original's SUPPRESS_* and FILTER_* options.

Their order is the original's: keypoints, betas, poses, both together are doubted first; then hands are left out; last,
missing betas become zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hamer.datasets.crop_settings import section

Annotation = dict[str, Any]


@dataclass(frozen=True)
class AnnotationFilters:
    """The options of DATASETS; a default leaves everything as it is, but for `num_keypoints`, as in the original.

    `keypoint_confidence`: keypoints below it count as unknown; `betas_limit`: a larger |beta| makes betas unknown;
    `together`: pose and betas are known both or not at all; `need_pose`: hands without a pose are left out;
    `num_keypoints`: hands need strictly more keypoints than this above `num_keypoints_confidence`; `reprojection`: the
    fit's error must be below; `min_box`: the box's shorter side must exceed it, px; `zero_betas`: unknown betas become
    known zeros (BETAS_REG), which pulls towards the mean shape.
    """

    keypoint_confidence: float = 0.0
    betas_limit: float = 0.0
    together: bool = False
    need_pose: bool = False
    num_keypoints: int = 4
    num_keypoints_confidence: float = 0.0
    reprojection: float = 0.0
    min_box: float = 0.0
    zero_betas: bool = False

    @classmethod
    def from_cfg(cls, cfg: Any) -> AnnotationFilters:
        """The options of a configuration's DATASETS.

        Raises:
            ValueError: SUPPRESS_BAD_POSES is on. It needs a histogram of plausible body poses that the original never
                published for hands.
        """
        options = section(cfg, "DATASETS")
        if options.get("SUPPRESS_BAD_POSES", False):
            raise ValueError(
                "DATASETS.SUPPRESS_BAD_POSES must be false: it needs the original's pose histogram, which was never published"
            )
        return cls(
            keypoint_confidence=float(options.get("SUPPRESS_KP_CONF_THRESH", 0.0)),
            betas_limit=float(options.get("SUPPRESS_BETAS_THRESH", 0.0)),
            together=bool(options.get("POSES_BETAS_SIMULTANEOUS", False)),
            need_pose=bool(options.get("FILTER_NO_POSES", False)),
            num_keypoints=int(options.get("FILTER_NUM_KP", 4)),
            num_keypoints_confidence=float(options.get("FILTER_NUM_KP_THRESH", 0.0)),
            reprojection=float(options.get("FILTER_REPROJ_THRESH", 0.0)),
            min_box=float(options.get("FILTER_MIN_BBOX_SIZE", 0.0)),
            zero_betas=bool(options.get("BETAS_REG", False)),
        )

    def apply(self, annotation: Annotation) -> Annotation | None:
        """The annotation as training takes it (a changed copy), or None where it is left out."""
        changed = self._doubted(annotation)
        return self._completed(changed) if self._keeps(changed) else None

    def _doubted(self, annotation: Annotation) -> Annotation:
        points = np.array(annotation["keypoints_2d"], np.float32)
        if self.keypoint_confidence > 0:
            points[points[:, 2] < self.keypoint_confidence, 2] = 0.0
        has_pose, has_betas = float(annotation["has_hand_pose"]) > 0, float(annotation["has_betas"]) > 0
        if self.betas_limit > 0 and bool((np.abs(annotation["betas"]) > self.betas_limit).any()):
            has_betas = False
        if self.together:
            has_pose = has_betas = has_pose and has_betas
        flags = {"has_hand_pose": np.array(float(has_pose)), "has_betas": np.array(float(has_betas))}
        return {**annotation, "keypoints_2d": points, **flags}

    def _keeps(self, annotation: Annotation) -> bool:
        if self.need_pose and not annotation["has_hand_pose"] > 0:
            return False
        if self.num_keypoints > 0:
            known = annotation["keypoints_2d"][:, 2] > self.num_keypoints_confidence
            if not known.sum() > self.num_keypoints:
                return False
        if self.reprojection > 0:
            loss = reprojection_loss(annotation)
            if loss is not None and not loss < self.reprojection:
                return False
        return not (self.min_box > 0 and not np.min(annotation["scale"]) * 200.0 > self.min_box)

    def _completed(self, annotation: Annotation) -> Annotation:
        if self.zero_betas and not annotation["has_betas"] > 0:
            return {**annotation, "has_betas": np.array(1.0), "betas": np.asarray(annotation["betas"]) * 0}
        return annotation


def reprojection_loss(annotation: Mapping[str, Any]) -> float | None:
    """`extra_info.fitting_loss.reprojection_loss`, or None where the hand was not fitted.

    The original stores the dictionary of losses as an array of one object.
    """
    extra = annotation.get("extra_info")
    losses = extra.get("fitting_loss") if isinstance(extra, Mapping) else None
    if isinstance(losses, np.ndarray):
        losses = losses.item() if losses.size == 1 else None
    value = losses.get("reprojection_loss") if isinstance(losses, Mapping) else None
    return None if value is None else float(value)
