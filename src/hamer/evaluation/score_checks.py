"""Does a predictions file hold what its scores will be read as? Frames, units, joint orders and sides that look mistaken.

Scores of such a file are valid numbers and mean nothing; each check compares the file as it is with one mended reading.
"""

from __future__ import annotations

import numpy as np
import torch

from hamer.evaluation.alignment import procrustes_proper, procrustes_reflecting, root_relative
from hamer.evaluation.fingertips import HO3D_ORDER
from hamer.evaluation.metrics import mean_error

_SAMPLE = 200  # hands that are looked at, spread over the file
_MUCH_BETTER = 0.5  # a mended reading must at least halve the error to be worth a word


def suspicions(joints: np.ndarray, true_joints: np.ndarray) -> list[str]:
    """Sentences about what looks wrong with (N, 21, 3) joints in metres; empty when nothing does."""
    step = max(1, len(joints) // _SAMPLE)
    prediction, truth = (torch.from_numpy(np.asarray(a[::step], np.float64)) for a in (joints, true_joints))
    found = [_unit(prediction, truth)]
    if found[0] is None:
        found += [_frame(prediction, truth), _order(prediction, truth), _side(prediction, truth)]
    return [sentence for sentence in found if sentence is not None]


def _unit(prediction: torch.Tensor, truth: torch.Tensor) -> str | None:
    sizes = [root_relative(p).norm(dim=-1).mean(-1) for p in (prediction, truth)]
    ratio = float((sizes[0] / sizes[1]).median())
    if not ratio > 0:
        return "all joints of a typical predicted hand coincide"
    if 0.1 < ratio < 10:
        return None
    return f"predicted hands are {ratio:.3g} times as large as the true ones; points must be in metres"


def _frame(prediction: torch.Tensor, truth: torch.Tensor) -> str | None:
    prediction, truth = root_relative(prediction), root_relative(truth)
    turned = prediction * prediction.new_tensor([1.0, -1.0, -1.0])
    if _median_error(turned, truth) > _MUCH_BETTER * _median_error(prediction, truth):
        return None
    return (
        "predictions fit much better with y and z negated: one side is in OpenCV's camera frame (y down, z forward), the "
        "other in OpenGL's; --frame flipped negates them"
    )


def _order(prediction: torch.Tensor, truth: torch.Tensor) -> str | None:
    as_it_is = _median_error(procrustes_proper(prediction, truth), truth)
    reordered = prediction[:, list(HO3D_ORDER)]
    if _median_error(procrustes_proper(reordered, truth), truth) <= _MUCH_BETTER * as_it_is:
        return (
            "joints fit much better reordered from wrist-thumb-index... to HO-3D's order; --joints openpose does that"
        )
    back = prediction[:, list(np.argsort(HO3D_ORDER))]
    if _median_error(procrustes_proper(back, truth), truth) <= _MUCH_BETTER * as_it_is:
        return "joints seem to be in HO-3D's order where the truth has wrist-thumb-index...; --joints ho3d mends that"
    return None


def _side(prediction: torch.Tensor, truth: torch.Tensor) -> str | None:
    proper = mean_error(procrustes_proper(prediction, truth), truth)
    reflected = mean_error(procrustes_reflecting(prediction, truth), truth)
    share = float((reflected < _MUCH_BETTER * proper).double().mean())
    if share < 0.05:
        return None
    return (
        f"{share:.0%} of the predicted hands are mirror images of the true ones (left for right); the public programs' "
        "alignment reflects them, so their aligned scores do not show it"
    )


def _median_error(prediction: torch.Tensor, truth: torch.Tensor) -> float:
    return float(mean_error(prediction, truth).median())
