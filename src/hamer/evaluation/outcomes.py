"""What an evaluation of one set comes to: figures, counts, times; and the list of all runs in a results folder."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hamer.assets.locking import locked
from hamer.evaluation.cases import Case
from hamer.evaluation.matching import DetectionSummary
from hamer.evaluation.results import EvaluationResult
from hamer.export.files import write_atomic

JSON_NAME = "evaluation.json"
_SCHEMA = "hamer.evaluations/1"
_WAIT = 60.0


@dataclass
class Latency:
    """Seconds that predicting took, in this run and those that it went on from.

    `what` was timed: "network" (forward pass alone) or "pipeline" (reading, searching, estimating).
    """

    what: str
    hands: int
    pictures: int
    seconds: float

    @property
    def per_hand(self) -> float | None:
        """Seconds a hand."""
        return self.seconds / self.hands if self.hands else None


@dataclass
class SetOutcome:
    """One set, evaluated.

    Attributes:
        name: of the set; mode: "boxes" or "detector"; model: what estimated; checkpoint, exp_name: as in the table.
        key: changes with everything that changes predictions.
        result: a row a hand. figures: what the table got. error: what went wrong, or None.
        detection: counts of the detector mode. groups: (N,) sources of the hands, or empty texts.
        scoring_seconds: how long the figures took.
        files: written, by what they hold.
    """

    name: str
    mode: str
    model: str
    checkpoint: str
    exp_name: str
    key: str
    result: EvaluationResult
    figures: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    detection: DetectionSummary | None = None
    groups: np.ndarray | None = None
    detection_by_group: dict[str, DetectionSummary] = field(default_factory=dict)
    latency: Latency | None = None
    scoring_seconds: float = 0.0
    files: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Flat figures: those of `EvaluationSummary` with `pck_<t>`, and of the detector."""
        whole = self.result.summary().as_dict()
        flat = {k: v for k, v in whole.items() if isinstance(v, int | float) or v is None}
        flat |= {f"pck_{t}": v for t, v in whole["pck"].items()}
        pooled = pooled_pck(self.result)
        flat |= {f"pck_pooled_{t}": v for t, v in pooled.items()}
        if self.detection is not None:
            flat |= {k: v for k, v in self.detection.as_dict().items() if k in ("recall", "precision", "side_accuracy")}
        return flat

    def as_dict(self) -> dict[str, Any]:
        """For json; infinities become texts."""
        names = ("name", "mode", "model", "checkpoint", "exp_name", "key", "error", "notes", "files", "scoring_seconds")
        return {
            **{name: getattr(self, name) for name in names},
            "summary": {k: _plain(v) for k, v in self.summary().items()},
            "figures": {k: _plain(v) for k, v in self.figures.items()},
            "pck_per_joint": self.result.summary().as_dict()["pck_per_joint"],
            "detection": None if self.detection is None else self.detection.as_dict(),
            "latency": None if self.latency is None else {**asdict(self.latency), "per_hand": self.latency.per_hand},
            "by_source": {g: _by_source(self, g) for g in self.sources()},
        }

    def sources(self) -> list[str]:
        """Where the pictures come from, in the set's order; empty where there is but one source."""
        if self.groups is None or len(self.groups) != len(self.result):
            return []
        found = list(dict.fromkeys(self.groups.tolist()))
        return found if len(found) > 1 else []


def pooled_pck(result: EvaluationResult, thresholds: tuple[float, ...] = (0.05, 0.1, 0.15)) -> dict[float, float]:
    """Share of all visible keypoints within each threshold: every keypoint counts alike, not every joint."""
    visible = ~np.isnan(result.keypoint_error)
    if not visible.any():
        return {}
    errors = result.keypoint_error[visible]
    return {t: float((errors < t).mean()) for t in thresholds}


def _by_source(outcome: SetOutcome, group: str) -> dict[str, Any]:
    assert outcome.groups is not None
    part = outcome.result[outcome.groups == group]
    figures = part.summary()
    found = outcome.detection_by_group.get(group)
    return {
        "hands": len(part), "pa_mpjpe": _plain(figures.pa_mpjpe), "hands_3d": figures.hands_3d,
        "pck_pooled": {str(t): v for t, v in pooled_pck(part).items()},
        "detection": None if found is None else found.as_dict(),
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """Numbers that json knows."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def record(folder: Path, outcomes: list[SetOutcome]) -> list[dict[str, Any]]:
    """Put runs into the folder's `evaluation.json`, in place of those of the same set and key, under a lock; returns all."""
    path = folder / JSON_NAME
    with locked(folder / (JSON_NAME + ".lock"), timeout=_WAIT, poll=0.05):
        runs = {(r["name"], r["key"]): r for r in read_record(folder)}
        for outcome in outcomes:
            runs[outcome.name, outcome.key] = outcome.as_dict()
        content = {"schema": _SCHEMA, "runs": list(runs.values())}
        write_atomic(path, (json.dumps(content, indent=1) + "\n").encode())
    return list(runs.values())


def read_record(folder: Path) -> list[dict[str, Any]]:
    """The runs that a results folder knows; none where there is no list or another program's."""
    try:
        content = json.loads((folder / JSON_NAME).read_text(encoding="utf-8"))
        return list(content["runs"]) if content.get("schema") == _SCHEMA else []
    except (OSError, ValueError, KeyError, AttributeError):
        return []
