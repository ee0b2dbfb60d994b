"""What an evaluation found: arrays with a row a hand, which can be joined, saved and loaded again.

NaN marks what has no label, infinity what was not found. Everything that a report shows is computed from these rows.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hamer.errors import HamerError

if TYPE_CHECKING:
    from hamer.evaluation.summary import EvaluationSummary

N_JOINTS = 21
_SCHEMA = "hamer.evaluation/1"


class EvaluationFileError(HamerError, ValueError):
    """A saved evaluation that cannot be read."""


@dataclass(frozen=True)
class EvaluationResult:
    """N evaluated hands.

    Lengths are millimetres. "proper" is alignment by rotation, scale and translation; "reflecting" may mirror too, as the
    programs of FreiHAND and HO-3D do.

    Attributes:
        ids: (N,) names.
        is_right: (N,) true side.
        scores: (N,) how sure the prediction was; NaN where it does not say.
        found: (N,) bool; False for a hand that a detector missed.
        joint_error: (N, 21) in the camera frame.
        joint_error_root: (N, 21) relative to the wrist.
        joint_error_proper, joint_error_reflecting: (N, 21) after alignment.
        vertex_error, vertex_error_root, vertex_error_proper, vertex_error_reflecting: (N,) means over vertices; `_root` is
            relative to the wrist joint, the aligned ones are aligned by vertices.
        vertex_auc, vertex_auc_proper, vertex_auc_reflecting: (N,) area, 0 to 1.
        f_score, f_score_proper, f_score_reflecting: (N, 2) at 5 and 15 mm.
        keypoint_error: (N, 21) 2D distance over the side of the hand's box.
        keypoint_confidence: (N, 21) of the true keypoints, 0 without one.
    """

    ids: np.ndarray
    is_right: np.ndarray
    scores: np.ndarray
    found: np.ndarray
    joint_error: np.ndarray
    joint_error_root: np.ndarray
    joint_error_proper: np.ndarray
    joint_error_reflecting: np.ndarray
    vertex_error: np.ndarray
    vertex_error_root: np.ndarray
    vertex_error_proper: np.ndarray
    vertex_error_reflecting: np.ndarray
    vertex_auc: np.ndarray
    vertex_auc_proper: np.ndarray
    vertex_auc_reflecting: np.ndarray
    f_score: np.ndarray
    f_score_proper: np.ndarray
    f_score_reflecting: np.ndarray
    keypoint_error: np.ndarray
    keypoint_confidence: np.ndarray

    def __post_init__(self) -> None:
        for name, (shape, dtype) in _LAYOUT.items():
            array: np.ndarray = np.asarray(getattr(self, name), dtype=dtype)
            if array.shape != (len(self.ids), *shape):
                raise ValueError(
                    f"EvaluationResult.{name} must have shape {(len(self.ids), *shape)}, got {array.shape}"
                )
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice | Sequence[int] | np.ndarray) -> EvaluationResult:
        """Some of the hands: a slice, indices or a mask."""
        return EvaluationResult(**{name: getattr(self, name)[rows] for name in _LAYOUT})

    @classmethod
    def blank(cls, n_hands: int) -> EvaluationResult:
        """Hands without any label: what a batch's findings are written into."""
        fill = {np.float64: np.nan, bool: True, np.str_: ""}
        return cls(**{name: np.full((n_hands, *shape), fill[dtype], dtype) for name, (shape, dtype) in _LAYOUT.items()})

    @classmethod
    def missed(
        cls,
        ids: Sequence[str],
        is_right: Sequence[bool] | np.ndarray,
        visible: np.ndarray,
    ) -> EvaluationResult:
        """Hands that a detector did not find: their visible keypoints (N, 21) lie infinitely far, their 3D is unknown."""
        visible = np.asarray(visible, bool)
        blank = cls.blank(len(visible))
        changes = {
            "ids": np.asarray(ids, np.str_),
            "is_right": is_right,
            "found": np.zeros(len(visible), bool),
            "keypoint_error": np.where(visible, np.inf, np.nan),
            "keypoint_confidence": visible,
        }
        return cls(**{name: changes.get(name, getattr(blank, name)) for name in _LAYOUT})

    @classmethod
    def joined(cls, parts: Sequence[EvaluationResult]) -> EvaluationResult:
        """All hands of several evaluations, in order."""
        if not parts:
            return cls.blank(0)
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in _LAYOUT})

    def summary(self, pck_thresholds: Sequence[float] | None = None) -> EvaluationSummary:
        """Means over hands, and how many hands and joints they rest on."""
        from hamer.evaluation.pck import PAPER_THRESHOLDS
        from hamer.evaluation.summary import summarise

        return summarise(self, PAPER_THRESHOLDS if pck_thresholds is None else tuple(pck_thresholds))

    def save(self, path: str | Path) -> Path:
        """Write an `.npz` in one step; `load` reads it again."""
        from hamer.export.files import write_atomic

        buffer = io.BytesIO()
        np.savez_compressed(buffer, schema=np.array(_SCHEMA), **{name: getattr(self, name) for name in _LAYOUT})
        return write_atomic(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> EvaluationResult:
        """Read what `save` wrote. Raises EvaluationFileError for anything else, FileNotFoundError for nothing."""
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as archive:
                missing = sorted({"schema", *_LAYOUT} - set(archive.files))
                if missing or str(archive["schema"]) != _SCHEMA:
                    found = f"no {', '.join(missing)}" if missing else f"schema {archive['schema']}"
                    raise EvaluationFileError(f"{path}: expected a saved evaluation ({_SCHEMA}), found {found}")
                return cls(**{name: archive[name] for name in _LAYOUT})
        except FileNotFoundError:
            raise
        except EvaluationFileError:
            raise
        except Exception as error:  # a damaged archive raises one of half a dozen types
            raise EvaluationFileError(
                f"{path}: cannot be read as a saved evaluation ({error}); remove it to start anew"
            ) from error


_ROW = ((), np.float64)
_PER_JOINT = ((N_JOINTS,), np.float64)
_LAYOUT: dict[str, tuple[tuple[int, ...], type]] = {
    "ids": ((), np.str_),
    "is_right": ((), bool),
    "scores": _ROW,
    "found": ((), bool),
    **{f.name: _PER_JOINT for f in fields(EvaluationResult) if f.name.startswith("joint_error")},
    **{f.name: _ROW for f in fields(EvaluationResult) if f.name.startswith("vertex_")},
    **{f.name: ((2,), np.float64) for f in fields(EvaluationResult) if f.name.startswith("f_score")},
    "keypoint_error": _PER_JOINT,
    "keypoint_confidence": _PER_JOINT,
}
