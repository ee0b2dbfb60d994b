"""Hands by way of persons, as the original finds them: persons, whole-body keypoints of each, a box around each hand.

The two networks are large (2.8 and 2.5 GB), so the work is cut into stages that can run one after the other over many
pictures, each network being released before the next is loaded (`stages`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hamer.detectors import load
from hamer.detectors.hands_of_persons import hands_from_keypoints
from hamer.detectors.stages import Stage
from hamer.detectors.suppression import suppress
from hamer.structures import Detections, HandBoxes

PERSON = 0  # COCO's class


class PersonHands:
    """Finds hands by finding persons first.

    Args:
        persons: a body detector: pictures to `Detections`.
        keypoints: pictures and persons' boxes to (P, 133, 3) COCO-WholeBody keypoints.
        person_score: persons above it (strictly) are looked at; the original's demo takes 0.5.
        min_confidence: keypoints of a hand above it (strictly) count; the original's demo takes 0.5.
        suppression: leave out doubled, swapped and phantom hands (`hamer.detectors.suppression`); False gives exactly the
            boxes of the original's demo.
    """

    def __init__(
        self,
        persons: Any,
        keypoints: Any,
        *,
        person_score: float = 0.5,
        min_confidence: float = 0.5,
        suppression: bool = True,
    ) -> None:
        for name, value in (("person_score", person_score), ("min_confidence", min_confidence)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie in 0 to 1, got {value}")
        self.persons, self.keypoints = persons, keypoints
        self.person_score, self.min_confidence, self.suppression = person_score, min_confidence, suppression
        self.stages = (
            Stage("persons", persons, lambda images, _before: self.find_persons(images)),
            Stage("keypoints", keypoints, self.find_hands),
        )

    def __call__(self, images: Sequence[np.ndarray]) -> list[HandBoxes]:
        """The hands of each picture, per person left then right."""
        return self.find_hands(images, self.find_persons(images))

    def find_persons(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Boxes (P, 4) xyxy px of the persons in each picture, best first."""
        return [_persons(found, self.person_score) for found in self.persons(images)]

    def find_hands(self, images: Sequence[np.ndarray], persons: Sequence[np.ndarray]) -> list[HandBoxes]:
        """The hands of persons whose boxes (P, 4) are known, for each picture."""
        found = self.keypoints(images, persons)
        return [self._hands(points, boxes) for points, boxes in zip(found, persons, strict=True)]

    def _hands(self, keypoints: np.ndarray, persons: np.ndarray) -> HandBoxes:
        if self.suppression:
            return suppress(keypoints, persons, min_confidence=self.min_confidence)
        return hands_from_keypoints(keypoints, min_confidence=self.min_confidence)

    def load(self) -> None:
        """Load both networks now, so that missing or bad weights are told before any picture is looked at."""
        for stage in self.stages:
            stage.network.load()

    def release(self) -> None:
        """Free both networks."""
        for stage in self.stages:
            stage.network.release()


def person_hands(
    body: str,
    *,
    weights: str | Path | None = None,
    keypoint_weights: str | Path | None = None,
    device: str = "auto",
    precision: str = "float32",
    flip_test: bool = True,
    batch_size: int = 8,
    threads: int | None = None,
    person_score: float = 0.5,
    **options: Any,
) -> PersonHands:
    """The original's route from pictures to hands.

    Args:
        body: "vitdet" or "regnety".
        weights: of the body detector; None takes the original's file where it is present.
        keypoint_weights: of ViTPose, likewise.
        device: of both networks.
        precision: of both networks; float32 is the reference.
        flip_test: ViTPose looks at each person mirrored too, at twice the cost.
        batch_size: persons a pass of ViTPose.
        threads: CPU threads; None leaves torch's own choice.
        person_score: persons above it (strictly) are looked at, also where the body detector would not report them by itself
            (the original's thresholds are 0.25 for vitdet and 0.5 for regnety).
        options: those of `PersonHands`.

    Raises:
        AssetError, FileNotFoundError: weights of either network are not here; nothing was loaded yet.
        ValueError: an option is wrong.
    """
    common: dict[str, Any] = {"device": device, "precision": precision, "threads": threads}
    persons: Any = load(body, weights=weights, **common)
    keypoints: Any = load("vitpose", weights=keypoint_weights, flip_test=flip_test, batch_size=batch_size, **common)
    hands = PersonHands(persons, keypoints, person_score=person_score, **options)
    # The network's own threshold must not keep persons back that are asked for; those above it stay the same.
    persons.rule = replace(persons.rule, score_threshold=min(person_score, persons.rule.score_threshold))
    for network in (persons, keypoints):
        network.weights_file()
    return hands


def _persons(found: Detections, min_score: float) -> np.ndarray:
    return found.boxes[(found.classes == PERSON) & (found.scores > min_score)]
