"""Counts over the hands of a set, and what training's filters would leave of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import hamer.configs
from hamer.configs.reader import read_yaml

PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
_DEFAULT = Path(hamer.configs.__file__).parent / "hydra" / "data_filtering" / "low1.yaml"


def default_filters() -> dict[str, Any]:
    """The thresholds of `data_filtering=low1`, with which the original trained."""
    return {**read_yaml(_DEFAULT).to_dict(), "BETAS_REG": True}


def filters_of(config: str | Path | None) -> dict[str, Any]:
    """The thresholds in a `model_config.yaml`'s DATASETS; the original's where it is None.

    Raises:
        ValueError: the file has no DATASETS.
    """
    if config is None:
        return default_filters()
    content = read_yaml(config).to_dict()
    if not isinstance(content.get("DATASETS"), dict):
        raise ValueError(
            f"{config} must be the model_config.yaml of a training, with DATASETS; it has {sorted(content)}"
        )
    return {name: value for name, value in content["DATASETS"].items() if name.isupper()}


@dataclass
class Statistics:
    """Numbers of a set; `add_picture` and `add_hand` count, `summary` gives them as a dict.

    `filters` are thresholds as DATASETS has them.
    """

    filters: Mapping[str, Any] = field(default_factory=default_filters)
    pictures: int = 0
    hands: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    box_sizes: list[float] = field(default_factory=list)
    picture_sides: list[int] = field(default_factory=list)

    def add_picture(self, width: int, height: int) -> None:
        """Count a picture."""
        self.pictures += 1
        self.picture_sides.append(max(width, height))

    def add_hand(self, sample: Mapping[str, Any]) -> None:
        """Count a hand whose fields are in order."""
        self.hands += 1
        self.counts["left"] += not _flag(sample, "right")
        self.counts["hand_pose"] += _flag(sample, "has_hand_pose")
        self.counts["betas"] += _flag(sample, "has_betas")
        self.counts["keypoints_3d"] += bool((np.asarray(sample["keypoints_3d"])[:, 3] > 0).any())
        self.counts["labelled_joints"] += int((np.asarray(sample["keypoints_2d"])[:, 2] > 0).sum())
        self.counts["mask"] += "detection_npz_idx" in (sample.get("extra_info") or {})
        self.box_sizes.append(float(np.asarray(sample["scale"]).max() * 200))
        self.effects.update(filter_effects(sample, self.filters))

    def merge(self, other: Statistics) -> None:
        """Add the counts of another file."""
        self.pictures += other.pictures
        self.hands += other.hands
        self.counts += other.counts
        self.effects += other.effects
        self.box_sizes += other.box_sizes
        self.picture_sides += other.picture_sides

    def summary(self) -> dict[str, Any]:
        """Everything as plain numbers; shares are of the hands."""
        n = max(self.hands, 1)
        shares = {name: round(self.counts[name] / n, 4) for name in ("hand_pose", "betas", "keypoints_3d", "mask")}
        return {
            "pictures": self.pictures,
            "hands": self.hands,
            "left": self.counts["left"],
            "right": self.hands - self.counts["left"],
            "share_with": shares,
            "labelled_joints_per_hand": round(self.counts["labelled_joints"] / n, 2),
            "box_px": _percentiles(self.box_sizes),
            "picture_px": _percentiles(self.picture_sides),
            "filters": {name: int(self.effects[name]) for name in EFFECTS},
            "left_for_training": self.hands - self.effects["dropped"],
        }


EFFECTS = {
    "SUPPRESS_KP_CONF_THRESH": "hands with joints that count as absent (low confidence)",
    "FILTER_NUM_KP": "hands dropped for too few joints",
    "FILTER_REPROJ_THRESH": "hands dropped for a bad fit",
    "FILTER_NO_POSES": "hands dropped for having no pose",
    "SUPPRESS_BETAS_THRESH": "hands whose betas count as absent (too large)",
    "POSES_BETAS_SIMULTANEOUS": "hands whose betas count as absent (no pose)",
    "BETAS_REG": "hands drawn to the mean shape instead",
    "dropped": "hands dropped in all",
}
"""What a filter does, by the name of its threshold, in the order in which training applies them."""


def filter_effects(sample: Mapping[str, Any], filters: Mapping[str, Any]) -> list[str]:
    """Which filters change or drop a hand; each counted where the ones before it have left the hand in."""
    effects = []
    confidence = np.asarray(sample["keypoints_2d"], np.float64)[:, 2]
    threshold = filters.get("SUPPRESS_KP_CONF_THRESH")
    if threshold is not None:
        low = (confidence > 0) & (confidence < threshold)
        effects += ["SUPPRESS_KP_CONF_THRESH"] * bool(low.any())
        confidence = np.where(confidence < threshold, 0, confidence)
    if filters.get("FILTER_NUM_KP") is not None:
        seen = (confidence > filters.get("FILTER_NUM_KP_THRESH", 0.0)).sum()
        if seen <= filters["FILTER_NUM_KP"]:
            return [*effects, "FILTER_NUM_KP", "dropped"]
    loss = _fitting_loss(sample)
    if filters.get("FILTER_REPROJ_THRESH") is not None and loss is not None and loss >= filters["FILTER_REPROJ_THRESH"]:
        return [*effects, "FILTER_REPROJ_THRESH", "dropped"]
    has_pose, has_betas = _flag(sample, "has_hand_pose"), _flag(sample, "has_betas")
    if filters.get("FILTER_NO_POSES") and not has_pose:
        return [*effects, "FILTER_NO_POSES", "dropped"]
    return effects + _betas_effects(sample, filters, has_pose, has_betas)


def _betas_effects(sample: Mapping[str, Any], filters: Mapping[str, Any], has_pose: bool, has_betas: bool) -> list[str]:
    effects = []
    limit = filters.get("SUPPRESS_BETAS_THRESH")
    if limit is not None and has_betas and (np.abs(np.asarray(sample["betas"])) > limit).any():
        effects.append("SUPPRESS_BETAS_THRESH")
        has_betas = False
    if filters.get("POSES_BETAS_SIMULTANEOUS") and has_betas and not has_pose:
        effects.append("POSES_BETAS_SIMULTANEOUS")
        has_betas = False
    if filters.get("BETAS_REG") and not has_betas:
        effects.append("BETAS_REG")
    return effects


def _fitting_loss(sample: Mapping[str, Any]) -> float | None:
    """The reprojection loss that the original's tars note of a fit, or None."""
    extra = sample.get("extra_info")
    fit = extra.get("fitting_loss") if isinstance(extra, Mapping) else None
    fit = fit.item() if isinstance(fit, np.ndarray) and fit.size == 1 else fit
    loss = fit.get("reprojection_loss") if isinstance(fit, Mapping) else None
    return float(loss) if isinstance(loss, (int, float, np.generic)) else None


def _flag(sample: Mapping[str, Any], name: str) -> bool:
    return bool(np.asarray(sample[name]).item())


def _percentiles(values: list[Any]) -> dict[str, float]:
    if not values:
        return {}
    return {f"p{p}": round(float(v), 1) for p, v in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)}
