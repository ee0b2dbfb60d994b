"""From hands found in pictures to hands in 3D: what every estimator is asked for, and the one that only fits keypoints.

An estimator takes a chunk of pictures with the hands found in each and returns the reconstructed hands of each. Everything
inside happens in the right-hand convention (left hands mirrored); `assembly.assemble` mirrors back. N counts the hands of
a chunk. The estimator with a network is in `network_estimator`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from hamer.fitting import FitOptions, HandPose, fit_hands
from hamer.hand_models import HandModel
from hamer.pipeline.assembly import assemble
from hamer.pipeline.flat_hands import Estimate, FlatHands
from hamer.pipeline.pictures import Picture
from hamer.structures import Camera, Hand, HandBoxes


class Estimator(Protocol):
    """What the pipeline asks of the part that turns found hands into 3D."""

    @property
    def name(self) -> str:
        """What results say of how they were made."""
        ...

    @property
    def hand_model(self) -> HandModel:
        """The hand that the results are of."""
        ...

    def __call__(
        self, pictures: Sequence[Picture], cameras: Sequence[Camera], found: Sequence[HandBoxes]
    ) -> list[list[Hand]]:
        """The hands of every picture, in the order found; a hand that cannot be estimated is left out."""
        ...


class FittingEstimator:
    """Hands from the detector's keypoints alone (`hamer.fitting`): needs no trained weights.

    Args:
        hand_model: the hand to fit.
        options: weights of the fit; None for the defaults.
    """

    def __init__(self, hand_model: HandModel, options: FitOptions | None = None) -> None:
        self.hand_model = hand_model.eval()
        self.options = options or FitOptions()
        self.name = f"keypoint fit ({hand_model.name} hand)"

    def __call__(
        self, pictures: Sequence[Picture], cameras: Sequence[Camera], found: Sequence[HandBoxes]
    ) -> list[list[Hand]]:
        """See `Estimator`. Raises ValueError where the detector gave hands without keypoints."""
        if not any(len(f) for f in found):
            return [[] for _ in found]
        flat = FlatHands.of(cameras, found)
        if flat.hands.keypoints_2d is None:
            raise ValueError(
                "fitting needs keypoints_2d for the given hands, and only boxes were given; use the mediapipe detector's "
                "landmarks (hamer.detectors.load('boxes') fills them in), or a network: from_pretrained('hamer.ckpt')"
            )
        return assemble(self.hand_model, fit_estimate(self.hand_model, flat, self.options), flat, cameras, len(found))


def fit_estimate(model: HandModel, flat: FlatHands, options: FitOptions, initial: HandPose | None = None) -> Estimate:
    """Parameters of `model` that fit the detector's keypoints, near `initial` where that is given and not NaN."""
    points_3d = flat.hands.keypoints_3d
    fit = fit_hands(
        model,
        flat.keypoints_2d,
        torch.from_numpy(flat.hands.is_right),
        flat.camera_matrix,
        keypoints_3d=None if points_3d is None else torch.from_numpy(points_3d),
        initial=initial,
        options=options,
    )
    return Estimate(fit.global_orient, fit.hand_pose, fit.betas, fit.translation, fit.valid, fit.residual_px)
