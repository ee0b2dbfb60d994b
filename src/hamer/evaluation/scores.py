"""The figures that FreiHAND's and HO-3D's evaluation programs print, under their names.

`xyz` are joints and `mesh` vertices; `al` stands for alignment that may reflect, `scale_trans_al` for HO-3D's other
alignment. `mean3d` is in centimetres, `auc3d` and the F-scores are shares of 1. See docs/evaluation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hamer.evaluation.alignment import procrustes_reflecting, scale_translation
from hamer.evaluation.auc import area
from hamer.evaluation.fscore import f_score
from hamer.evaluation.metrics import point_errors

Joints = Float[np.ndarray, "n_hands 21 3"]
Vertices = Float[np.ndarray, "n_hands n_vertices 3"]
Progress = Callable[[int], None]
PerHand = dict[str, np.ndarray]

_CENTIMETRES = 100.0
_AT_ONCE = 256  # hands whose points are in the works at a time: 5 MB for each copy of their vertices


def freihand_scores(
    joints: Joints,
    true_joints: Joints,
    vertices: Vertices | None = None,
    true_vertices: Vertices | None = None,
    *,
    progress: Progress | None = None,
    threads: int | None = None,
) -> dict[str, float]:
    """What FreiHAND's evaluation prints; without vertices, of the joints alone.

    Args:
        joints, true_joints: metres, camera frame, the same order of joints.
        vertices, true_vertices: metres, camera frame; both or neither.
        progress: told how many hands have been scored since it was told last.
        threads: of the F-score; default one a core.
    """
    return _averaged(_joints_of_freihand, joints, true_joints, vertices, true_vertices, progress, threads)


def ho3d_scores(
    joints: Joints,
    true_joints: Joints,
    vertices: Vertices | None = None,
    true_vertices: Vertices | None = None,
    *,
    progress: Progress | None = None,
    threads: int | None = None,
) -> dict[str, float]:
    """What HO-3D's evaluation prints; without vertices, of the joints alone.

    Args:
        joints, true_joints: metres, in HO-3D's order of joints: the scale alignment measures the bone from joint 0 to 4.
        vertices, true_vertices, progress, threads: as in `freihand_scores`.
    """
    return _averaged(_joints_of_ho3d, joints, true_joints, vertices, true_vertices, progress, threads)


def _joints_of_freihand(joints: Tensor, truth: Tensor) -> PerHand:
    return {
        **_errors("xyz", joints, truth),
        **_errors("xyz_al", procrustes_reflecting(joints, truth), truth),
    }


def _joints_of_ho3d(joints: Tensor, truth: Tensor) -> PerHand:
    return {
        **_errors("xyz", joints, truth),
        **_errors("xyz_procrustes_al", procrustes_reflecting(joints, truth), truth),
        **_errors("xyz_scale_trans_al", scale_translation(joints, truth), truth),
    }


def _mesh(vertices: Tensor, truth: Tensor, threads: int | None) -> PerHand:
    aligned = procrustes_reflecting(vertices, truth)
    as_it_is, after = (f_score(v.numpy(), truth.numpy(), threads=threads) for v in (vertices, aligned))
    return {
        **_errors("mesh", vertices, truth),
        **_errors("mesh_al", aligned, truth),
        "f_score_5": as_it_is[:, 0],
        "f_al_score_5": after[:, 0],
        "f_score_15": as_it_is[:, 1],
        "f_al_score_15": after[:, 1],
    }


def _errors(name: str, prediction: Tensor, truth: Tensor) -> PerHand:
    """Mean distance and area of each hand. Every point counts, so the programs' means over points are means over hands."""
    errors = point_errors(prediction, truth)
    return {f"{name}_mean3d": _CENTIMETRES * errors.mean(-1).numpy(), f"{name}_auc3d": area(errors).mean(-1).numpy()}


def _averaged(
    of_joints: Callable[[Tensor, Tensor], PerHand],
    joints: np.ndarray,
    true_joints: np.ndarray,
    vertices: np.ndarray | None,
    true_vertices: np.ndarray | None,
    progress: Progress | None,
    threads: int | None,
) -> dict[str, float]:
    _check("joints", joints, true_joints)
    if (vertices is None) != (true_vertices is None):
        raise ValueError("scores: give both vertices and true_vertices, or neither")
    if vertices is not None and true_vertices is not None:
        _check("vertices", vertices, true_vertices)
        if len(vertices) != len(joints):
            raise ValueError(
                f"scores: as many hands with vertices as with joints are needed, got {len(vertices)} and {len(joints)}"
            )
    sums: dict[str, float] = {}
    for part in _parts(len(joints)):
        scores = of_joints(_double(joints[part]), _double(true_joints[part]))
        if vertices is not None and true_vertices is not None:
            scores |= _mesh(_double(vertices[part]), _double(true_vertices[part]), threads)
        for name, values in scores.items():
            sums[name] = sums.get(name, 0.0) + float(values.sum())
        if progress is not None:
            progress(len(range(*part.indices(len(joints)))))
    return {name: total / len(joints) for name, total in sums.items()}


def _parts(n_hands: int) -> Iterator[slice]:
    return (slice(i, i + _AT_ONCE) for i in range(0, n_hands, _AT_ONCE))


def _double(points: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(points, dtype=np.float64))


def _check(name: str, prediction: np.ndarray, truth: np.ndarray) -> None:
    if prediction.shape != truth.shape or prediction.ndim != 3 or prediction.shape[-1] != 3 or not len(prediction):
        raise ValueError(
            f"scores: {name} must be (hands, points, 3), as many of both and at least one hand, got predictions of shape "
            f"{prediction.shape} and a truth of shape {truth.shape}"
        )
    for whose, points in (("predicted", prediction), ("true", truth)):
        wrong = ~np.isfinite(points).all((1, 2))
        if wrong.any():
            raise ValueError(
                f"scores: {whose} {name} of hand {int(wrong.argmax())} hold NaN or infinity ({wrong.sum()} such hands)"
            )
