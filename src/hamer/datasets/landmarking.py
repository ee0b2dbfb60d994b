"""What the built-in landmark model says of an annotated hand, so that a network that is given its points learns its errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hamer import assets
from hamer.detectors.joints_of_landmarks import joints_of_landmarks
from hamer.detectors.landmarks import Guesses, LandmarkModel
from hamer.detectors.merging import agree
from hamer.detectors.pictures import well_exposed
from hamer.detectors.regions import GREY, STEADY, Pyramid, Regions, regions_from_keypoints
from hamer.detectors.scoring import joint_confidences

_SHIFT, _STRETCH, _TURN = 0.08, 0.15, np.deg2rad(15)
"""How far the palm detector's region is off the one that the joints give: centre and size as parts of the size, angle."""
_SEEN, _LEAST_PRESENCE = 0.6, 0.5  # the detector's: below, a look without colours; below, no hand
_LIKE_FIVE = float(np.sqrt((1 - 1 / 5) / (1 - 1 / 2)))
"""Spread of the five looks that the detector takes over that of two, about their own mean."""
_LOST = 0.5  # of the hand's size: guesses whose joints are farther from the true ones on average show another thing


@dataclass(frozen=True)
class Landmarks:
    """`points` (21, 3) picture px and confidence as in `HandBoxes.keypoints_2d`; `world` (21, 3) m as `keypoints_3d`."""

    points: np.ndarray
    world: np.ndarray

    def labels(self) -> dict[str, np.ndarray]:
        """As the annotation of a training sample holds them."""
        return {"landmarks_2d": self.points, "landmarks_3d": self.world}


class Landmarker:
    """The landmark model's answer where a hand is known to be, as the detector's search would end.

    A first look at a region as the palm detector gives it, off by a little; without colours too, where it shows no hand; a
    second one at the region that follows from the first, in a mirror. The two are brought together as the detector does
    with its looks. Two looks take 22 ms of one core; the whole search takes hundreds.

    Args:
        model: file of the landmark model; None fetches it (`hamer.assets.landmark_models`).
        threads: that may ask at once without waiting for one another.

    Raises:
        MissingExtraError: ai-edge-litert is not installed. AssetError: the model could not be fetched or read.
    """

    def __init__(self, model: str | Path | None = None, *, threads: int = 1) -> None:
        self._model = LandmarkModel(assets.landmark_models()[1] if model is None else model, threads=threads)

    def of(self, rgb: np.ndarray, keypoints_2d: np.ndarray, rng: np.random.Generator) -> Landmarks | None:
        """Landmarks of one hand, as `of_hands` gives those of several."""
        return self.of_hands(rgb, [keypoints_2d], [rng])[0]

    def of_hands(
        self, rgb: np.ndarray, keypoints_2d: Sequence[np.ndarray], rngs: Sequence[np.random.Generator]
    ) -> list[Landmarks | None]:
        """Landmarks of the hands of a picture (H, W, 3) uint8, each None if it is not seen.

        Args:
            keypoints_2d: of each hand the true joints (21, 2) px, or (21, 3) with a confidence, 0 where a joint is not
                labelled. Those of the palm and the fingers' bases must be, else there is no place to look at.
            rngs: one a hand; they move the first regions.
        """
        picture = Pyramid(well_exposed(rgb))
        pairs = zip(keypoints_2d, rngs, strict=True)
        return [self._of(picture, np.asarray(joints, np.float64), rng) for joints, rng in pairs]

    def _of(self, picture: Pyramid, joints: np.ndarray, rng: np.random.Generator) -> Landmarks | None:
        labelled = joints[:, 2] > 0 if joints.shape[1] == 3 else np.ones(21, bool)
        if not labelled[STEADY].all():
            return None
        start = jittered(regions_from_keypoints(joints[None, :, :2]), rng)
        first = self._model(picture, start)
        if first.presence[0] < _SEEN:
            grey = self._model(picture, start.changed(tone=GREY))
            first = grey if grey.presence[0] > first.presence[0] else first
        tracked = regions_from_keypoints(first.points).changed(tone=first.regions.tones, mirror=True)
        looks = [first, self._model(picture, tracked)]
        return _answer(looks, joints[:, :2], labelled)


def jittered(regions: Regions, rng: np.random.Generator) -> Regions:
    """The regions as a palm detector might have given them: moved, stretched and turned a little."""
    n = len(regions)
    shift = rng.uniform(-_SHIFT, _SHIFT, (n, 2)) * regions.sizes[:, None]
    sizes = regions.sizes * rng.uniform(1 - _STRETCH, 1 + _STRETCH, n)
    angles = regions.angles + rng.uniform(-_TURN, _TURN, n)
    return Regions.of(regions.centers + shift, sizes, angles)


def _answer(looks: list[Guesses], joints: np.ndarray, labelled: np.ndarray) -> Landmarks | None:
    points, spreads, world, _right = agree(looks)
    points = joints_of_landmarks(points)
    presence = np.stack([look.presence for look in looks])
    size = max(float(np.ptp(joints[labelled], axis=0).max()), 1.0)
    miss = float(np.linalg.norm(points[0] - joints, axis=-1)[labelled].mean()) / size
    if presence[-1, 0] < _LEAST_PRESENCE or miss > _LOST:
        return None
    confidence = joint_confidences(_LIKE_FIVE * spreads, presence.mean(0))
    return Landmarks(np.c_[points[0], confidence[0]].astype(np.float32), world[0].astype(np.float32))
