"""Errors of a validation's hands in millimetres, beside its losses: what evaluations report, on the training's own batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from hamer.evaluation.metrics import mpjpe, pa_mpjpe
from hamer.models.losses import as_rotmat

MILLIMETRES = 1000.0
NAMES = ("mpjpe", "pa_mpjpe", "pa_mpvpe")


class HandErrors:
    """Sums over a validation: root-relative MPJPE and PA-MPJPE of hands whose 3D joints are all known, PA-MPVPE of hands whose
    parameters are. Computed on the processor: a hand's errors are little work, and Apple's GPUs have no float64.
    """

    def __init__(self, root: int = 0) -> None:
        self.root = root
        self._sums = torch.zeros(2, len(NAMES), dtype=torch.float64)  # of errors, of hands

    def add(self, batch: Mapping[str, Any], output: Mapping[str, Any], hand: Callable[..., Any]) -> None:
        """Count the hands of a batch.

        Args:
            batch: as `hamer.models.losses.compute_loss` takes it.
            output: of the network.
            hand: its hand layer, which makes true vertices of true parameters.
        """
        joints, truth = output["pred_keypoints_3d"].float().cpu(), batch["keypoints_3d"].float().cpu()
        known = (truth[..., 3] > 0).all(-1)
        if bool(known.any()):
            self._add(0, mpjpe(joints[known], truth[known][..., :3], root=self.root))
            self._add(1, pa_mpjpe(joints[known], truth[known][..., :3]))
        names = output["pred_mano_params"].keys()
        known = torch.stack([batch["has_mano_params"][name].reshape(-1) > 0 for name in names]).all(0)
        if bool(known.any()):
            true = hand(**{name: _true_parameter(batch, name)[known] for name in names}, pose2rot=False)
            self._add(2, pa_mpjpe(output["pred_vertices"][known].float().cpu(), true.vertices.cpu()))

    def means(self, summed: Callable[[Tensor], Tensor] | None = None) -> dict[str, float]:
        """`mpjpe`, `pa_mpjpe`, `pa_mpvpe` in mm, of those that any hand has; and begin anew.

        Args:
            summed: adds a tensor up over all processes.
        """
        sums = self._sums if summed is None else summed(self._sums)
        self._sums = torch.zeros_like(self._sums)
        errors, counts = sums.tolist()
        return {name: error / n for name, error, n in zip(NAMES, errors, counts, strict=True) if n > 0}

    def _add(self, column: int, errors: Tensor) -> None:
        self._sums[0, column] += MILLIMETRES * errors.double().sum()
        self._sums[1, column] += len(errors)


def _true_parameter(batch: Mapping[str, Any], name: str) -> Tensor:
    value = batch["mano_params"][name].float()
    return value if name == "betas" else as_rotmat(value, batch["mano_params_is_axis_angle"][name])
