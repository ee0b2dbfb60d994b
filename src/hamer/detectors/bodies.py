"""Persons and their joints by Google's pose detector and body landmark model, run by LiteRT.

Networks: BlazePose (Bazarevsky et al. 2020, arXiv:2006.10204). They are small (12 ms and 25 ms a crop on one core) and
know where a hand is when nothing of it can be made out: an arm leads there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from hamer.detectors.litert import LiteRTNetwork
from hamer.detectors.regions import Pyramid, Regions
from hamer.detectors.rows import Rows
from hamer.detectors.ssd_anchors import anchor_centres, probabilities
from hamer.errors import AssetError
from hamer.geometry.directions import upward_angle

N_POINTS = 33
"""BlazePose's topology: 11 to 16 shoulders, elbows, wrists, 17 to 22 little finger, index and thumb, left before right."""

_DETECTOR_SIDE, _LANDMARK_SIDE = 224, 256
_LAYERS = ((8, 2), (16, 2), (32, 6))
_PER_ANCHOR = 12  # a box and the keypoints
_DETECTOR_KEYPOINTS = 4  # middle of the hips, a point of the circle around the body, and two of the upper body alone
_LANDMARKS, _PER_LANDMARK = 39, 5  # 33, two that say where to look next, four unused; x, y, z, visibility, presence
_NEXT_CENTRE, _NEXT_CIRCLE = 33, 34
_ROOM = 1.25  # side of the region over the diameter of the circle

_LEAST_DETECTION, _LEAST_FIRST, _LEAST_BODY = 0.3, 0.2, 0.5
"""Scores from which a sighting is followed, from which it is looked at a second time, and from which it is a body."""
_LOOKS = ((False, 1.0), (True, 1.0), (False, 1.2), (True, 0.9), (False, 0.9))
"""Mirrored, enlarged: a body keeps its joints in place, what was taken for one does not."""
_MIRRORED = (0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(i + 1 - 2 * (i % 2 == 0) for i in range(11, N_POINTS)))
_MOST_BODIES = 24  # followed in one picture, which bounds the time that a crowd can cost
_SAME_SIGHTING, _SAME_BODY = 0.5, 0.2  # mean distance of keypoints over the circle's radius, and over the body's extent


@dataclass
class Bodies(Rows):
    """N persons, the surest first.

    `points` (N, 33, 2) px, and `spreads` (N, 33) px, how far several looks disagree; `visible` (N, 33) probabilities that a
    point is seen, neither hidden nor outside; `scores` (N,) that there is a body at all.
    """

    points: np.ndarray
    spreads: np.ndarray
    visible: np.ndarray
    scores: np.ndarray

    @classmethod
    def empty(cls) -> Bodies:
        """None."""
        return cls(np.zeros((0, N_POINTS, 2)), np.zeros((0, N_POINTS)), np.zeros((0, N_POINTS)), np.zeros(0))


@lru_cache(maxsize=1)
def anchors() -> np.ndarray:
    """The pose detector's anchor centres (2254, 2), x and y in 0..1."""
    return anchor_centres(_DETECTOR_SIDE, _LAYERS)


class BodySearch:
    """Persons in a picture.

    Args:
        detector, landmarks: files of the networks (`hamer.assets.body_models`).
        threads: worker threads; None for all cores, at most 8.

    Raises:
        AssetError: a file is not the network that it should be.
        MissingExtraError: ai-edge-litert is not installed.
    """

    def __init__(self, detector: str | Path, landmarks: str | Path, *, threads: int | None = None) -> None:
        self._detector = LiteRTNetwork(detector, threads=threads)
        self._landmarks = LiteRTNetwork(landmarks, threads=threads)
        _check(self._detector, _DETECTOR_SIDE, (len(anchors()) * _PER_ANCHOR, len(anchors())))
        _check(self._landmarks, _LANDMARK_SIDE, (_LANDMARKS * _PER_LANDMARK, 1))

    def warm_up(self, picture: Pyramid, places: Regions) -> None:
        """Run both networks on the tiles, whatever they show."""
        self._sightings(picture, places)
        self._look(picture, places)

    def __call__(self, picture: Pyramid, places: Regions) -> Bodies:
        """The persons that the tiles `places` show."""
        circles = self._sightings(picture, places)
        if not len(circles):
            return Bodies.empty()
        first, following = self._look(picture, _around(circles))
        places = _around(following[first.scores > _LEAST_FIRST])
        looks = [self._look(picture, places.changed(mirror=mirror, zoom=zoom))[0] for mirror, zoom in _LOOKS]
        bodies = _agree(looks)
        return _once(bodies[bodies.scores > _LEAST_BODY])

    def _sightings(self, picture: Pyramid, places: Regions) -> np.ndarray:
        """Centre and a point of the circle (N, 2, 2) px of everything that may be a body, each once, the surest first."""
        # A lambda in a loop must bind its index.
        outputs = self._detector.run(
            lambda i=i: picture.cut(places, i, _DETECTOR_SIDE, cv2.BORDER_CONSTANT) * 2 - 1 for i in range(len(places))
        )
        raw, logits = (_output(outputs, len(anchors()) * numbers) for numbers in (_PER_ANCHOR, 1))
        scores = probabilities(logits[..., 0])
        tile, anchor = np.nonzero(scores > _LEAST_DETECTION)
        keypoints = (
            raw[tile, anchor, 4:].reshape(-1, _DETECTOR_KEYPOINTS, 2) / _DETECTOR_SIDE + anchors()[anchor][:, None]
        )
        points = places[tile].to_picture(keypoints)
        points = points[np.argsort(-scores[tile, anchor], kind="stable")]
        return points[_different(points)[:_MOST_BODIES], :2]

    def _look(self, picture: Pyramid, regions: Regions) -> tuple[Bodies, np.ndarray]:
        """Bodies in the regions, and the circles (N, 2, 2) px around them."""
        outputs = self._landmarks.run(
            lambda i=i: picture.cut(regions, i, _LANDMARK_SIDE, cv2.BORDER_CONSTANT) for i in range(len(regions))
        )
        values, scores = (_output(outputs, size) for size in (_LANDMARKS * _PER_LANDMARK, 1))
        values = values.reshape(-1, _LANDMARKS, _PER_LANDMARK).astype(np.float64)
        points = regions.to_picture(values[..., :2] / _LANDMARK_SIDE)
        visible = probabilities(values[:, :N_POINTS, 3:]).prod(-1)
        order = np.where(regions.mirrored[:, None], _MIRRORED, np.arange(N_POINTS))
        bodies = Bodies(
            np.take_along_axis(points[:, :N_POINTS], order[..., None], 1),
            np.zeros_like(visible),
            np.take_along_axis(visible, order, 1),
            scores.reshape(-1).astype(np.float64),
        )
        return bodies, points[:, [_NEXT_CENTRE, _NEXT_CIRCLE]]


def _check(network: LiteRTNetwork, side: int, sizes: tuple[int, int]) -> None:
    given = [math.prod(shape) for shape in network.output_shapes]
    if network.input_shape != (side, side, 3) or not set(sizes) <= set(given):
        raise AssetError(
            f"{network.path} must take {side}x{side} pictures and give {sizes[0]} and {sizes[1]} numbers, but takes "
            f"{network.input_shape} and gives {given}; delete it to fetch it anew"
        )


def _around(circles: np.ndarray) -> Regions:
    """The regions that show the circles (N, 2, 2) px, with the circle's point, above the head, upwards."""
    middle, edge = circles[:, 0], circles[:, 1]
    return Regions.of(middle, 2 * _ROOM * np.linalg.norm(edge - middle, axis=-1), upward_angle(middle, edge))


def _different(points: np.ndarray) -> np.ndarray:
    """Indices of the sightings (N, 4, 2) px, the surest first, that do not lie on a surer one."""
    radii = np.linalg.norm(points[:, 1] - points[:, 0], axis=-1)
    return _distinct(points, _SAME_SIGHTING * np.maximum.outer(radii, radii))


def _agree(looks: list[Bodies]) -> Bodies:
    """What several looks at the same N bodies say together."""
    points = np.stack([look.points for look in looks])
    middle = np.median(points, axis=0)  # of x and of y: one look of several may fail
    spreads = np.median(np.linalg.norm(points - middle, axis=-1), axis=0)
    visible = np.median([look.visible for look in looks], axis=0)
    return Bodies(middle, spreads, visible, np.median([look.scores for look in looks], axis=0))


def _once(bodies: Bodies) -> Bodies:
    """Every body once, the surest first."""
    bodies = bodies[np.argsort(-bodies.scores, kind="stable")]
    extents = np.ptp(bodies.points, axis=1).max(-1)
    return bodies[_distinct(bodies.points, np.tile(_SAME_BODY * extents[:, None], len(bodies)))]


def _distinct(points: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Indices of those (N, K, 2) px whose mean distance from every earlier one that stays is above `same` (N, N), px."""
    kept: list[int] = []
    for index in range(len(points)):
        distances = np.linalg.norm(points[kept] - points[index], axis=-1).mean(-1)
        if (distances > same[index, kept]).all():
            kept.append(index)
    return np.array(kept, int)


def _output(outputs: list[np.ndarray], size: int) -> np.ndarray:
    """Of a network's outputs (N, ...) the one with `size` numbers a crop: their order differs between the files."""
    return next(output for output in outputs if math.prod(output.shape[1:]) == size)
