"""Detector `boxes`: hands whose boxes the caller knows, from a JSON file or a mapping.

The file is an object with one entry a picture, under its file name (with or without folders, with or without ending):

    {"photo.jpg": [{"box": [x0, y0, x1, y1], "is_right": true}, ...], "no_hands.jpg": []}

`box` is in pixels of the upright picture; `is_right` may be null or absent where the side is not known; optional are
`score` (0..1, else 1) and `keypoints_2d`, 21 times [x, y] or [x, y, confidence]. A box may reach over the picture's
edge but must overlap it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np

from hamer.detectors.pictures import check_pictures
from hamer.errors import AssetError, MissingExtraError
from hamer.structures import HandBoxes

_LOG = logging.getLogger(__name__)
_FIELDS = {"box", "is_right", "score", "keypoints_2d"}


@dataclass(frozen=True)
class GivenHand:
    """One hand as given: `box` (4,) xyxy px, side or None, score, `keypoints_2d` (21, 3) or None."""

    box: np.ndarray
    is_right: bool | None
    score: float
    keypoints_2d: np.ndarray | None


class GivenBoxes:
    """Hands from a file or mapping; joints are filled in by the landmark model where it can be had.

    Args:
        boxes: path of the JSON file described above, or its content as a mapping.
        landmarks: "auto" fills joints and unknown sides by the landmark model, and goes on without it where it cannot
            be fetched; "always" makes that an error; "never" takes the boxes as they are, so every side must be given.
        threads: of the landmark model.

    Raises:
        ValueError: the file is no JSON, or an entry is wrong; the message names the picture, the hand and the field.
        OSError: the file cannot be read.
    """

    name = "boxes"
    #: Tells callers that the pictures' names must be handed over with them.
    needs_names = True

    def __init__(
        self,
        boxes: str | Path | Mapping[str, Any],
        *,
        landmarks: Literal["auto", "always", "never"] = "auto",
        threads: int | None = None,
    ) -> None:
        if landmarks not in ("auto", "always", "never"):
            raise ValueError(f"landmarks must be 'auto', 'always' or 'never', got {landmarks!r}")
        self.source = "boxes" if isinstance(boxes, Mapping) else str(boxes)
        content = boxes if isinstance(boxes, Mapping) else _read(Path(boxes))
        self.hands = {str(name): _hands(entry, f"{self.source}: {name!r}") for name, entry in content.items()}
        self._landmarks, self._threads = landmarks, threads
        self._model: Any = None

    def __call__(self, images: Sequence[np.ndarray], names: Sequence[str | Path] | None = None) -> list[HandBoxes]:
        """The given hands of each RGB uint8 picture (H, W, 3); `names` are the pictures' paths or file names.

        Without `names` the file must have as many entries as there are pictures, in their order.
        """
        pictures = check_pictures(images)
        if names is None:
            if len(self.hands) != len(pictures):
                raise ValueError(
                    f"{self.source} has boxes of {len(self.hands)} pictures, {len(pictures)} were given without names; "
                    "pass names=[...], one for each picture"
                )
            return [
                self._one(image, name, hands) for image, (name, hands) in zip(pictures, self.hands.items(), strict=True)
            ]
        if len(names) != len(pictures):
            raise ValueError(f"names must be one for each picture, got {len(names)} names and {len(pictures)} pictures")
        return [self._one(image, str(name), self.of(name)) for image, name in zip(pictures, names, strict=True)]

    def of(self, name: str | Path) -> list[GivenHand]:
        """The hands of the picture called `name`: its path, its file name or its stem, the fullest match first."""
        path = PurePath(name)
        for key in (str(name), path.as_posix(), path.name, path.stem):
            if key in self.hands:
                return self.hands[key]
        ends = [key for key in self.hands if PurePath(key).name == path.name]
        if len(ends) == 1:
            return self.hands[ends[0]]
        some = ", ".join(list(self.hands)[:5])
        reason = f"several entries for {path.name!r}: {', '.join(ends)}" if ends else f"no entry for {path.name!r}"
        raise ValueError(
            f"{self.source} has {reason} (it has: {some or 'nothing'}); a picture without hands needs an empty list"
        )

    def _one(self, image: np.ndarray, name: str, hands: list[GivenHand]) -> HandBoxes:
        if not hands:
            return HandBoxes.empty()
        _check_inside(hands, image, f"{self.source}: {name!r}")
        boxes = np.stack([hand.box for hand in hands])
        sides = [hand.is_right for hand in hands]
        scores = np.array([hand.score for hand in hands])
        if all(hand.keypoints_2d is not None for hand in hands) and None not in sides:
            points = np.stack([hand.keypoints_2d for hand in hands if hand.keypoints_2d is not None])
            return HandBoxes(boxes, np.array(sides, bool), scores, points)
        model = self._landmark_model()
        if model is None:
            return _without_landmarks(hands, boxes, scores, f"{self.source}: {name!r}")
        found = model.landmarks_in_boxes(image, boxes, is_right=np.array(sides, object))
        for index, hand in enumerate(hands):
            if hand.keypoints_2d is not None:
                found.keypoints_2d[index] = hand.keypoints_2d
        return HandBoxes(boxes, found.is_right, scores, found.keypoints_2d, found.keypoints_3d)

    def _landmark_model(self) -> Any:
        """The detector that knows `landmarks_in_boxes`, made when first needed; None where it is done without."""
        if self._landmarks == "never":
            return None
        if self._model is None:
            from hamer.detectors.mediapipe import MediapipeDetector

            try:
                self._model = MediapipeDetector(threads=self._threads, bodies=False)
            except (AssetError, MissingExtraError) as error:
                if self._landmarks == "always":
                    raise
                _LOG.warning("boxes are used without joints: %s", error)
                self._landmarks = "never"
        return self._model


def _without_landmarks(hands: list[GivenHand], boxes: np.ndarray, scores: np.ndarray, where: str) -> HandBoxes:
    """The hands as they were given; joints that were not given are NaN."""
    for index, hand in enumerate(hands):
        if hand.is_right is None:
            raise ValueError(
                f"{where}, hand {index}: is_right must be true or false where no landmark model tells it, got null"
            )
    sides = np.array([hand.is_right for hand in hands], bool)
    if all(hand.keypoints_2d is None for hand in hands):
        return HandBoxes(boxes, sides, scores)
    missing = np.full((21, 3), np.nan)
    points = np.stack([missing if hand.keypoints_2d is None else hand.keypoints_2d for hand in hands])
    return HandBoxes(boxes, sides, scores, points)


def _read(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file, or a ValueError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be a JSON file of boxes, and is none: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(
            f'{path} must hold an object {{"photo.jpg": [{{"box": ...}}]}}, got a {type(content).__name__}'
        )
    return content


def _hands(entry: Any, where: str) -> list[GivenHand]:
    if not isinstance(entry, list):
        raise ValueError(f"{where} must be a list of hands, got a {type(entry).__name__}")
    return [_hand(item, f"{where}, hand {index}") for index, item in enumerate(entry)]


def _hand(item: Any, where: str) -> GivenHand:
    if not isinstance(item, dict) or "box" not in item:
        raise ValueError(f'{where} must be an object with "box": [x0, y0, x1, y1], got {item!r:.80}')
    unknown = set(item) - _FIELDS
    if unknown:
        raise ValueError(f"{where} has unknown fields {sorted(unknown)}; known are {sorted(_FIELDS)}")
    box = _numbers(item["box"], f"{where}: box", ((4,),))
    if box[2] <= box[0] or box[3] <= box[1]:
        raise ValueError(f"{where}: box must be [x0, y0, x1, y1] with x1 > x0 and y1 > y0, got {item['box']}")
    side = item.get("is_right")
    if side is not None and not (isinstance(side, bool) or side in (0, 1)):
        raise ValueError(f"{where}: is_right must be true, false or null, got {side!r}")
    score = _numbers(item.get("score", 1.0), f"{where}: score", ((),))
    if not 0 <= score <= 1:
        raise ValueError(f"{where}: score must lie in 0..1, got {score}")
    points = item.get("keypoints_2d")
    if points is not None:
        points = _numbers(points, f"{where}: keypoints_2d", ((21, 2), (21, 3)))
        points = np.column_stack([points, np.ones((21, 3 - points.shape[1]))])
    return GivenHand(box, None if side is None else bool(side), float(score), points)


def _numbers(value: Any, where: str, shapes: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """`value` as a finite array of one of `shapes`, or a ValueError."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} must hold numbers, got {value!r:.80}") from error
    if array.shape not in shapes:
        raise ValueError(f"{where} must have shape {' or '.join(map(str, shapes))}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{where} must hold finite numbers, got {value!r:.80}")
    return array


def _check_inside(hands: list[GivenHand], image: np.ndarray, where: str) -> None:
    height, width = image.shape[:2]
    for index, hand in enumerate(hands):
        x0, y0, x1, y1 = hand.box
        if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
            raise ValueError(
                f"{where}, hand {index}: box {hand.box.tolist()} lies outside the picture of {width}x{height} px; "
                "boxes are x0, y0, x1, y1 in pixels of the upright picture"
            )
