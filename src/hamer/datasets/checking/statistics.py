"""Counts over the hands of a set, and what training's filters would leave of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import hamer.configs
from hamer.configs.reader import read_yaml
from hamer.datasets.tar_filters import AnnotationFilters

PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
_DEFAULT = Path(hamer.configs.__file__).parent / "hydra" / "data_filtering" / "low1.yaml"


def training_filters(config: str | Path | None = None) -> dict[str, Any]:
    """DATASETS of a `model_config.yaml`; without one that of `data_filtering=low1`, with which the original trained.

    Raises:
        ValueError: the file has no DATASETS.
    """
    if config is None:
        return {**read_yaml(_DEFAULT).to_dict(), "BETAS_REG": True}
    content = read_yaml(config).to_dict()
    if not isinstance(content.get("DATASETS"), dict):
        raise ValueError(
            f"{config} must be the model_config.yaml of a training, with DATASETS; it has {sorted(content)}"
        )
    options: dict[str, Any] = content["DATASETS"]
    return options


@dataclass
class Statistics:
    """Numbers of a set; `add_picture` and `add_hand` count, `summary` gives them as a dict.

    `options` are the filters' thresholds, as DATASETS has them.
    """

    options: Mapping[str, Any] = field(default_factory=training_filters)
    pictures: int = 0
    hands: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    box_sizes: list[float] = field(default_factory=list)
    picture_sides: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._filters = AnnotationFilters.from_cfg({"DATASETS": dict(self.options)})

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
        self.effects.update(filter_effects(sample, self._filters))

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
    "SUPPRESS_KP_CONF_THRESH": "hands with joints that count as unknown (low confidence)",
    "SUPPRESS_BETAS_THRESH": "hands whose betas count as unknown (too large)",
    "POSES_BETAS_SIMULTANEOUS": "hands with one of pose and betas, which counts as unknown too",
    "FILTER_NO_POSES": "hands dropped for having no pose",
    "FILTER_NUM_KP": "hands dropped for too few joints",
    "FILTER_REPROJ_THRESH": "hands dropped for a bad fit",
    "FILTER_MIN_BBOX_SIZE": "hands dropped for a small box",
    "BETAS_REG": "hands drawn to the mean shape, their betas being unknown",
    "dropped": "hands dropped in all",
}
"""What a filter does, by the name of its threshold, in the order in which training applies them."""

_FIELDS = {
    "SUPPRESS_KP_CONF_THRESH": ("keypoint_confidence",),
    "SUPPRESS_BETAS_THRESH": ("betas_limit",),
    "POSES_BETAS_SIMULTANEOUS": ("together",),
    "FILTER_NO_POSES": ("need_pose",),
    "FILTER_NUM_KP": ("num_keypoints", "num_keypoints_confidence", "keypoint_confidence"),
    "FILTER_REPROJ_THRESH": ("reprojection",),
    "FILTER_MIN_BBOX_SIZE": ("min_box",),
}
_DROPPING = ("FILTER_NO_POSES", "FILTER_NUM_KP", "FILTER_REPROJ_THRESH", "FILTER_MIN_BBOX_SIZE")


def filter_effects(sample: Mapping[str, Any], filters: AnnotationFilters) -> list[str]:
    """Which filters, each taken alone, change or drop a hand; "dropped" where all together drop it."""
    annotation = dict(sample)
    effects = []
    for name, options in _FIELDS.items():
        alone = AnnotationFilters(**{"num_keypoints": 0, **{option: getattr(filters, option) for option in options}})
        result = alone.apply(annotation)
        if result is None or (name not in _DROPPING and _differs(result, annotation)):
            effects.append(name)
    together = replace(filters, zero_betas=False).apply(annotation)
    if together is None:
        return [*effects, "dropped"]
    return [*effects, "BETAS_REG"] if filters.zero_betas and not together["has_betas"] > 0 else effects


def _differs(result: Mapping[str, Any], annotation: Mapping[str, Any]) -> bool:
    if any(float(result[name]) != float(annotation[name]) for name in ("has_hand_pose", "has_betas")):
        return True
    return not np.array_equal(result["keypoints_2d"], np.asarray(annotation["keypoints_2d"], np.float32))


def _flag(sample: Mapping[str, Any], name: str) -> bool:
    return bool(np.asarray(sample[name]).item())


def _percentiles(values: list[Any]) -> dict[str, float]:
    if not values:
        return {}
    return {f"p{p}": round(float(v), 1) for p, v in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)}
