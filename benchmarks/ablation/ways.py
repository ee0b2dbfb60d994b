"""Ways from found hands to hands in 3D, to be measured side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hamer.fitting import FitOptions
from hamer.pipeline import FittingEstimator, NetworkEstimator
from hamer.pipeline.building import REFINEMENT, TITLE, load_hand_model, load_network
from hamer.pipeline.estimators import Estimator
from hamer.pipeline.pictures import Picture
from hamer.structures import Camera, HandBoxes

LANDMARKS_ALONE = "landmarks alone"
IMAGE_ONLY = "network, image only"
OWN_POINTS = "network, image only, refined by own points"
BY_PICTURE = (IMAGE_ONLY, OWN_POINTS)


@dataclass(frozen=True)
class Answer:
    """One hand as a way sees it: `keypoints_2d` (21, 2) px, `joints` (21, 3) m, `vertices` (V, 3) m or None."""

    is_right: bool
    keypoints_2d: np.ndarray
    joints: np.ndarray
    vertices: np.ndarray | None


@dataclass(frozen=True)
class Way:
    """A way with its name; without an estimator the detector's own landmarks are the answer."""

    title: str
    estimator: Estimator | None
    takes_landmarks: bool = True

    def __call__(
        self, pictures: Sequence[Picture], cameras: Sequence[Camera], found: Sequence[HandBoxes]
    ) -> tuple[list[list[Answer]], float]:
        """The answers for every picture, and the seconds that they took."""
        started = time.perf_counter()
        if self.estimator is None:
            answers = [_landmarks(hands) for hands in found]
        else:
            given = list(found)
            if not self.takes_landmarks:
                given = [replace(hands, keypoints_2d=None, keypoints_3d=None) for hands in found]
            results = self.estimator(pictures, cameras, given)
            answers = [[Answer(h.is_right, h.keypoints_2d, h.joints, h.vertices) for h in hands] for hands in results]
        return answers, time.perf_counter() - started


def all_ways(weights: Path | None, *, batch_size: int = 16, refinement: FitOptions | None = None) -> list[Way]:
    """The rows of the table; without weights, those that need no network.

    Args:
        refinement: options of the refinement; None for those of the pipeline.
    """
    hand = load_hand_model("open")
    rest = [Way("fitting alone", FittingEstimator(hand)), Way(LANDMARKS_ALONE, None)]
    if weights is None:
        return rest
    network = load_network(weights, "auto")

    def estimator(refine: bool) -> NetworkEstimator:
        options = refinement or REFINEMENT
        return NetworkEstimator(
            network, batch_size=batch_size, refine=refine, options=options, target=hand, title=TITLE
        )

    ways = [Way(IMAGE_ONLY, estimator(False), takes_landmarks=False)]
    if network.dense_head is not None:
        ways.append(Way(OWN_POINTS, estimator(True), takes_landmarks=False))
    if estimator(False).inputs.takes_landmarks:
        ways.append(Way("network, with landmark tokens", estimator(False)))
    return [*ways, Way("network + refinement (built-in way)", estimator(True)), *rest]


def _landmarks(hands: HandBoxes) -> list[Answer]:
    if hands.keypoints_2d is None or hands.keypoints_3d is None:
        return []
    known = np.isfinite(hands.keypoints_2d).all((1, 2)) & np.isfinite(hands.keypoints_3d).all((1, 2))
    return [
        Answer(bool(hands.is_right[i]), hands.keypoints_2d[i, :, :2], hands.keypoints_3d[i], None)
        for i in np.flatnonzero(known)
    ]
