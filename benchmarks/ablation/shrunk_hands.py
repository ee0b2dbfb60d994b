"""Every way on photos that nobody annotated: hands as they are, and those that are seen clearly made small, noisy and blocky.

What the landmark model says of a hand at full size counts as the truth of its small copy. That favours the landmark model
and whatever follows it, so a way that comes nearer to this truth than the small copy's own landmarks has read the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from ablation.photo_hands import AREA_TO, THRESHOLDS
from ablation.ways import Way
from hamer.detectors.mediapipe import MediapipeDetector
from hamer.errors import HamerError
from hamer.evaluation.auc import area
from hamer.geometry.boxes import boxes_from_keypoints
from hamer.geometry.cameras import default_camera
from hamer.pipeline.pictures import Picture, list_pictures, read_picture
from hamer.structures import HandBoxes

SIZES = ((24.0, 48.0), (48.0, 90.0))
"""Ranges of the longer side of a small copy's hand, px; each hand has a copy in each, twice."""
FULL_SIZE = (0.0, np.inf)
_COPIES = 2
_LEAST_SCORE, _LEAST_CONFIDENCE = 0.9, 0.6  # of hands at full size that count as seen clearly
_AROUND = 1.8  # half side of what is cut out of the photo, in sizes of the hand
_BOX_ERROR = 0.08  # share of the hand's size by which the box that is looked at is off
_CHUNK = 16


@dataclass(frozen=True)
class SmallHand:
    """A small copy of one hand: what the landmark model sees in it, and `truth` (21, 2) px from the photo at full size.

    `sizes`: the one of `SIZES` that it was made for, or `FULL_SIZE` for the hand itself.
    """

    picture: Picture
    found: HandBoxes
    truth: np.ndarray
    sizes: tuple[float, float]

    @property
    def size(self) -> float:
        """Longer side of the box around the true joints, px."""
        return float(np.ptp(self.truth, axis=0).max())


def hands_of(folder: Path) -> list[tuple[np.ndarray, HandBoxes]]:
    """The hands in a folder of photos, one at a time, each with its photo."""
    detector = MediapipeDetector(bodies=False)
    hands: list[tuple[np.ndarray, HandBoxes]] = []
    for path in list_pictures(folder):
        try:
            rgb = read_picture(path).rgb
        except HamerError as error:
            print(f"left out: {error}")
            continue
        (found,) = detector([rgb])
        hands += [(rgb, found[[hand]]) for hand in range(len(found))]
    return hands


def small_copies(hands: Sequence[tuple[np.ndarray, HandBoxes]], seed: int = 0) -> list[SmallHand]:
    """Small copies of the hands that are seen clearly; the same for the same hands and seed."""
    detector, rng = MediapipeDetector(bodies=False), np.random.default_rng(seed)
    clear = [(rgb, one) for rgb, one in hands if _is_clear(one)]
    return [_copy(rgb, one, size, detector, rng) for rgb, one in clear for size in SIZES for _ in range(_COPIES)]


def as_they_are(hands: Sequence[tuple[np.ndarray, HandBoxes]]) -> list[SmallHand]:
    """The hands at full size: the landmark model's own word is their truth."""
    known = [(rgb, one) for rgb, one in hands if one.keypoints_2d is not None and np.isfinite(one.keypoints_2d).all()]
    return [SmallHand(Picture(rgb), one, one.keypoints_2d[0, :, :2], FULL_SIZE) for rgb, one in known]


def _is_clear(one: HandBoxes) -> bool:
    assert one.keypoints_2d is not None
    large = (one.boxes[0, 2:] - one.boxes[0, :2]).max() >= 0.8 * SIZES[-1][1]
    return bool(one.scores[0] > _LEAST_SCORE and one.keypoints_2d[0, :, 2].mean() > _LEAST_CONFIDENCE and large)


def _copy(
    rgb: np.ndarray, one: HandBoxes, sizes: tuple[float, float], detector: MediapipeDetector, rng: np.random.Generator
) -> SmallHand:
    """A copy whose hand has a size of `sizes`, with a camera's noise and JPEG's blocks, looked at in a box that is a little off."""
    assert one.keypoints_2d is not None
    box, points = one.boxes[0], one.keypoints_2d[0, :, :2]
    side, centre = (box[2:] - box[:2]).max(), (box[2:] + box[:2]) / 2
    low = np.maximum(centre - _AROUND * side, 0).astype(int)
    high = np.minimum(centre + _AROUND * side, rgb.shape[1::-1]).astype(int)
    part, scale = rgb[low[1] : high[1], low[0] : high[0]], rng.uniform(*sizes) / side
    small, truth = shrunk(part, points - low, scale, rng)
    picture = Picture(small)
    around = boxes_from_keypoints(truth[None])
    around = around + rng.uniform(-_BOX_ERROR, _BOX_ERROR, 4) * np.ptp(truth, axis=0).max()
    return SmallHand(picture, detector.landmarks_in_boxes(picture.rgb, around, one.is_right), truth, sizes)


def shrunk(
    rgb: np.ndarray, points: np.ndarray, scale: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A picture (H, W, 3) and points (N, 2) px in it, `scale` times as large, with a camera's noise and JPEG's blocks."""
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    noisy = np.clip(small + rng.normal(0, rng.uniform(2, 12), small.shape), 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(35, 80))]
    written = cv2.imencode(".jpg", cv2.cvtColor(noisy, cv2.COLOR_RGB2BGR), quality)[1]
    read = cv2.cvtColor(cv2.imdecode(written, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return read, (points + 0.5) * (np.array(small.shape[1::-1]) / rgb.shape[1::-1]) - 0.5


def table(hands: Sequence[SmallHand], ways: Sequence[Way]) -> Iterator[str]:
    """Lines of markdown: every way, by the size of the small copies."""
    if not hands:
        yield "no hand in these photos is large and clear enough"
        return
    for sizes in sorted({hand.sizes for hand in hands}):
        chosen = [hand for hand in hands if hand.sizes == sizes]
        what = "hands as they are" if sizes == FULL_SIZE else f"copies of {sizes[0]:.0f} to {sizes[1]:.0f} px"
        yield f"{len(chosen)} {what}:"
        yield ""
        yield "| way | " + " | ".join(f"PCK@{threshold}" for threshold in THRESHOLDS) + f" | AUC 0-{AREA_TO} |"
        yield "|---" * (len(THRESHOLDS) + 2) + "|"
        for way in ways:
            far = _distances(chosen, way)
            shares = [*((far < threshold).mean() for threshold in THRESHOLDS), _auc(far)]
            yield f"| {way.title} | " + " | ".join(f"{share:.3f}" for share in shares) + " |"
        yield ""


def _distances(hands: Sequence[SmallHand], way: Way) -> np.ndarray:
    """(N, 21) distances of joints from their truth, in sizes of the hand; infinite where a way gives no hand."""
    far = np.full((len(hands), 21), np.inf)
    for start in range(0, len(hands), _CHUNK):
        chunk = hands[start : start + _CHUNK]
        pictures = [hand.picture for hand in chunk]
        answers, _ = way(pictures, [default_camera(p.width, p.height) for p in pictures], [h.found for h in chunk])
        for row, (hand, given) in enumerate(zip(chunk, answers, strict=True), start):
            if given:
                far[row] = np.linalg.norm(given[0].keypoints_2d - hand.truth, axis=-1) / hand.size
    return far


def _auc(far: np.ndarray) -> float:
    return float(area(torch.from_numpy(far), limit=AREA_TO).mean())
