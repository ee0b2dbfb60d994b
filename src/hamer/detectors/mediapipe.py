"""Detector `mediapipe`: hands found by Google's palm detector and hand landmark model, run by LiteRT.

The published graph looks once at the whole picture and so misses small and edge-on hands. This one looks at a pyramid
of overlapping tiles, follows even unsure palms, and lets the landmark model decide: a real hand keeps its joints in
place when it is looked at turned, mirrored and enlarged, anything else does not. Networks: MediaPipe Hands (Zhang et
al. 2020, arXiv:2006.10214).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from hamer import assets
from hamer.detectors.arm_ends import ArmEnds, arm_ends
from hamer.detectors.bodies import Bodies, BodySearch
from hamer.detectors.handedness import settle_sides
from hamer.detectors.joints_of_landmarks import joints_of_landmarks
from hamer.detectors.landmarks import Guesses, LandmarkModel
from hamer.detectors.merging import Consensus, agree, merge_hands, merge_palms, unite
from hamer.detectors.palm import PalmDetector, Palms
from hamer.detectors.pictures import check_pictures, well_exposed
from hamer.detectors.regions import COLOR, GREY, Pyramid, Regions, regions_from_keypoints, regions_from_palms
from hamer.detectors.scoring import hand_scores, joint_confidences
from hamer.detectors.search import EFFORTS, body_tiles, tiles, windows, worth_looking
from hamer.errors import AssetError
from hamer.geometry.boxes import boxes_from_keypoints, coverage_matrix
from hamer.structures import HandBoxes

logger = logging.getLogger(__name__)

EffortName = Literal["fast", "normal", "thorough"]

#: Presence below which a guess is dropped after the first pass, gets no third, and is dropped before it is confirmed.
#: A hand seen askew on the first pass may start very low; a hand that is still below a half on the last is never
#: confirmed.
_LEAST_FIRST_PRESENCE, _LEAST_SECOND_PRESENCE, _LEAST_PRESENCE = 0.05, 0.25, 0.5
#: Presence from which no look without colours, and no third pass, is needed.
_SEEN, _CERTAIN = 0.6, 0.97
_LEAST_SIZE = 8.0
#: Scores from which hands are given, and from which the only hand of a picture is.
_MIN_SCORE, _MIN_FIRST_SCORE = 0.4, 0.15
#: A hand that only a window shows must fill this part of it at first sight, and be seen this surely at last.
_LEAST_WINDOW_PART, _LEAST_SWEPT_PRESENCE = 0.25, 0.8
#: Side of the window that shows a hand best, in sizes of the hand, as in the stock graph; the most by which hands of one
#: picture differ in size; the part of a known hand that another may cover.
_WINDOW_OF_HAND, _MOST_RATIO, _COVERED = 2.0, 2.5, 0.3
#: Sightings of a palm that a box given by the caller is worth.
_TOLD = 30
#: Sightings from which a palm is looked at larger and smaller before it is given up, and by how much.
_WELL_SIGHTED, _OTHER_ZOOMS = 20, (0.7, 1.5)
#: Sightings of a palm that an arm is worth; sizes that its hand can seem to have, in lengths of a stretched one.
_ARM, _SIZES_AT_ARM = 20, (0.25, 1.6)
#: Colours are kept unless the hand is seen this much better without them.
_GREY_IS_BETTER = 0.1


class MediapipeDetector:
    """Hands in pictures by Google's landmark models.

    Args:
        effort: how hard to look. "fast": whole picture and its quarters, for hands that fill a good part of it;
            "normal": hands from about 1/40 of the picture's longer side; "thorough": smaller ones still, and every
            orientation, several times the cost.
        min_score: hands below are left out; scores are probabilities of being a hand, fitted on pictures with and
            without hands; of hands whose arm alone is seen they are not fitted, and count from 0.5. None: 0.4, or 0.15 for
            the only hand of a picture if its palm was sighted often; so none was seen in 27 varied pictures without hands.
        max_hands: keep the best so many; None for all.
        threads: worker threads; None for all cores, at most 8.
        bodies: follow arms to hands too, unless effort is "fast" (`hamer.assets.body_models`). A small hand that only its
            arm shows has a box and a side, and NaN for joints. Where those networks cannot be fetched, a warning says so
            and the search goes on without.
        palm_model, landmark_model: files of the networks; None fetches them (`hamer.assets.landmark_models`).

    Raises:
        MissingExtraError: ai-edge-litert is not installed. AssetError: the networks could not be fetched or read.
    """

    name = "mediapipe"

    def __init__(
        self,
        *,
        effort: EffortName = "normal",
        min_score: float | None = None,
        max_hands: int | None = None,
        threads: int | None = None,
        bodies: bool = True,
        palm_model: str | Path | None = None,
        landmark_model: str | Path | None = None,
    ) -> None:
        _check_options(effort, min_score, max_hands, threads)
        if palm_model is None or landmark_model is None:
            fetched = assets.landmark_models()
            palm_model, landmark_model = palm_model or fetched[0], landmark_model or fetched[1]
        self.effort, self.max_hands = EFFORTS[effort], max_hands
        self.min_score = _MIN_SCORE if min_score is None else float(min_score)
        self.min_first_score = _MIN_FIRST_SCORE if min_score is None else float(min_score)
        self._palms = PalmDetector(palm_model, threads=threads)
        self._landmarks = LandmarkModel(landmark_model, threads=threads)
        self._bodies = _body_search(threads) if bodies and self.effort.body_tiles else None

    def __call__(self, images: Sequence[np.ndarray]) -> list[HandBoxes]:
        """Hands of each RGB uint8 picture (H, W, 3), best first, with joints in the picture and in 3D; those of arms alone last."""
        return [self._one(image) for image in check_pictures(images)]

    @property
    def follows_arms(self) -> bool:
        """Whether bodies are looked for."""
        return self._bodies is not None

    def warm_up(self) -> None:
        """Run the networks once, so that the first picture is not timed with their set-up."""
        picture, whole = Pyramid(np.zeros((64, 64, 3), np.uint8)), Regions.of([[32.0, 32.0]], [64.0])
        self._palms(picture, whole, self.effort.least_palm)
        self._landmarks(picture, whole)
        if self._bodies is not None:
            self._bodies.warm_up(picture, whole)

    def candidates(self, image: np.ndarray) -> Consensus:
        """Everything in a picture that could be a hand, unmerged duplicates removed, however low its score."""
        picture = Pyramid(well_exposed(image))
        return self._candidates(picture, self._arm_ends(picture))

    def _candidates(self, picture: Pyramid, ends: ArmEnds) -> Consensus:
        height, width = picture.image.shape[:2]
        places = tiles(width, height, self.effort)
        places = places[worth_looking(picture.image, places)]
        found, _ = self._palms(picture, places, self.effort.least_palm)
        palms, support = merge_palms(found)
        # Real palms are seen in several tiles; ranked so, the first 72 hold what the first 192 by score alone hold.
        best = np.argsort(-palms.scores * np.log1p(support), kind="stable")[: self.effort.most_palms]
        palms, support = palms[best], support[best]
        guesses, support = self._follow(picture, palms, support)
        swept, sightings = self._sweep(picture, guesses)
        every, support = guesses.followed_by(swept), np.concatenate([support, sightings])
        led, told = self._at_arm_ends(picture, ends, every)
        every = every.followed_by(led)
        first, support = unite(every, np.concatenate([support, told]))
        return merge_hands(self._look_again(picture, every[first], support))

    def _one(self, image: np.ndarray) -> HandBoxes:
        picture = Pyramid(well_exposed(image))
        ends = self._arm_ends(picture)
        hands = self._candidates(picture, ends)
        hands = settle_sides(hands[self._kept(hands)][: self.max_hands])
        room = None if self.max_hands is None else self.max_hands - len(hands)
        hidden = ends.hidden(hands.points, self.min_score)[:room]
        if len(hidden):  # told of those that are given
            hidden.notes = (f"of {len(hidden)} of the hands found only the arm is seen",)
        seen = _hand_boxes(hands, hands.right > 0.5) if len(hands) else HandBoxes.empty()
        return seen if not len(hidden) else seen.followed_by(hidden)

    def _arm_ends(self, picture: Pyramid) -> ArmEnds:
        """Where arms end, if bodies are looked for."""
        height, width = picture.image.shape[:2]
        if self._bodies is None:
            return arm_ends(Bodies.empty(), width, height)
        return arm_ends(self._bodies(picture, body_tiles(width, height, self.effort)), width, height)

    def _at_arm_ends(self, picture: Pyramid, ends: ArmEnds, known: Guesses) -> tuple[Guesses, np.ndarray]:
        """What the landmark model sees where arms end that lead to no `known` hand, and the sightings that it is worth."""
        sure = known.points[known.presence > _CERTAIN]
        ends = ends[(ends.lengths >= _LEAST_SIZE) & ~np.any(ends.led_to(sure), axis=1)]
        looks = self._looks(picture, ends.regions())
        for look in looks:  # one may show a neighbour's hand, and surer
            look.presence *= ends.led_to(look.points).diagonal()
        first = looks[0]
        for look in looks[1:]:
            first = _replaced(first, np.ones(len(ends), bool), look)
        guesses = self._refined(picture, self._refined(picture, first))
        ratio = guesses.sizes() / np.maximum(ends.lengths, 1.0)
        alike = (ratio > _SIZES_AT_ARM[0]) & (ratio < _SIZES_AT_ARM[1]) & (guesses.sizes() >= _LEAST_SIZE)
        there = ends.led_to(guesses.points).diagonal() & alike & (guesses.presence > _LEAST_PRESENCE)
        return guesses[there], np.full(int(there.sum()), _ARM)

    def _kept(self, hands: Consensus) -> np.ndarray:
        """Which (N,) of the candidates are given: all from `min_score`, else perhaps the best one.

        Somebody who asks for hands expects one, so the first needs less evidence than a second, if its palm was
        sighted often.
        """
        kept = hands.scores >= self.min_score
        if len(hands) and not kept.any():
            best = int(hands.scores.argmax())
            sighted = hands.support[best] >= 2 * _WELL_SIGHTED * self.effort.density
            kept[best] = sighted and hands.scores[best] >= self.min_first_score
        return kept

    def _follow(self, picture: Pyramid, palms: Palms, support: np.ndarray) -> tuple[Guesses, np.ndarray]:
        """Landmarks of palms after up to three passes, each hand once, and how many sightings of palms led to each."""
        start = regions_from_palms(palms.boxes, palms.keypoints)
        tones = np.where(np.arange(len(palms)) < self.effort.color_palms, COLOR, GREY)
        guesses = self._landmarks(picture, start.changed(tone=tones))
        unsure = (tones == COLOR) & (guesses.presence < _SEEN)
        grey = self._landmarks(picture, start[unsure].changed(tone=GREY))
        guesses = _replaced(guesses, unsure, grey, margin=_GREY_IS_BETTER)
        missed = (guesses.presence < _SEEN) & (support >= _WELL_SIGHTED * self.effort.density)
        for zoom in _OTHER_ZOOMS:  # a palm that many tiles show, of a hand that is not seen: perhaps its size is off
            look = self._landmarks(picture, start[missed].changed(zoom=zoom, tone=GREY))
            guesses = _replaced(guesses, missed, look)
        alive = guesses.presence > _LEAST_FIRST_PRESENCE
        guesses, support = guesses[alive], support[alive]
        guesses = self._refined(picture, guesses)
        first, support = unite(guesses, support)
        guesses = guesses[first]
        unsure = (guesses.presence > _LEAST_SECOND_PRESENCE) & (guesses.presence < _CERTAIN)
        guesses = self._refined(picture, guesses, unsure)
        alive = (guesses.presence > _LEAST_PRESENCE) & (guesses.sizes() >= _LEAST_SIZE)
        return guesses[alive], support[alive]

    def _sweep(self, picture: Pyramid, known: Guesses) -> tuple[Guesses, np.ndarray]:
        """Hands whose palm is hidden or turned away, found by the landmark model in a grid of windows.

        Where hands are `known` for sure, others must be of a like size, and must not be one of those with its arm.
        Returns the guesses, and how many windows led to each.
        """
        height, width = picture.image.shape[:2]
        places = windows(width, height, self.effort)
        places = places[worth_looking(picture.image, places)]
        sure = known[known.presence > _CERTAIN]
        places = places[~_shown_by(places, sure) & _like_size(places.sizes / _WINDOW_OF_HAND, sure)]
        guesses = self._landmarks(picture, places)
        wide = guesses.sizes() > _LEAST_WINDOW_PART * places.sizes
        guesses = guesses[wide & (guesses.presence > _LEAST_FIRST_PRESENCE)]
        guesses = self._refined(picture, guesses)
        guesses = guesses[guesses.presence > _LEAST_SECOND_PRESENCE]
        first, support = unite(guesses, np.ones(len(guesses), int))
        guesses = guesses[first]
        guesses = self._refined(picture, guesses)
        alive = (guesses.presence > _LEAST_SWEPT_PRESENCE) & _like_size(guesses.sizes(), sure)
        alive &= ~(coverage_matrix(sure.boxes(), guesses.boxes()) > _COVERED).any(0)
        return guesses[alive], support[alive]

    def _refined(self, picture: Pyramid, guesses: Guesses, which: np.ndarray | None = None) -> Guesses:
        """`guesses` (N) of which those in `which` (N,) bool (None: all) are cut out again from their own joints."""
        which = np.ones(len(guesses), bool) if which is None else which
        return _replaced(guesses, which, self._landmarks(picture, _regions_of(guesses[which])))

    def _looks(self, picture: Pyramid, ways: Sequence[Regions]) -> list[Guesses]:
        """Guesses for N places looked at in several ways, one run of the network for all."""
        every = self._landmarks(picture, Regions.concatenate(list(ways)))
        n = len(every) // max(len(ways), 1)
        return [every[way * n : (way + 1) * n] for way in range(len(ways))]

    def _look_again(self, picture: Pyramid, guesses: Guesses, support: np.ndarray) -> Consensus:
        """What further looks at each guess, turned, mirrored and enlarged, agree on."""
        base = _regions_of(guesses)
        ways = self.effort.agreement
        turned = [base.changed(mirror=mirror, turn=np.deg2rad(turn), zoom=zoom) for mirror, turn, zoom in ways]
        looks = [guesses, *self._looks(picture, turned)]
        points, spreads, world, right = agree(looks)
        presence = np.stack([look.presence for look in looks])
        sizes = np.ptp(points, axis=1).max(-1)
        # One look of several may fail, as the one that cuts off a fingertip.
        best = np.sort(presence, axis=0)[1:] if len(looks) > 2 else presence
        scores = hand_scores(best, spreads, sizes, support / self.effort.density)
        return Consensus(points, spreads, world, right, presence.mean(0), sizes, support, scores)

    def landmarks_in_boxes(
        self, image: np.ndarray, boxes: np.ndarray, is_right: Sequence[bool | None] | np.ndarray | None = None
    ) -> HandBoxes:
        """Landmarks of hands whose boxes are known.

        The hand's orientation is not known, so each box is looked at turned by every 45 degrees; the best look is
        refined and confirmed as in a search. `scores` tell whether the model sees a hand in the box; none is left out.

        Args:
            image: (H, W, 3) RGB uint8.
            boxes: (N, 4) xyxy px around the hands.
            is_right: (N,) the sides where they are known; None for all or for one hand lets the model decide.
        """
        (image,) = check_pictures([image])
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        if not len(boxes):
            return HandBoxes.empty()
        picture = Pyramid(well_exposed(image))
        guesses = self._best_in_boxes(picture, boxes)
        hands = self._look_again(picture, guesses, np.full(len(boxes), _TOLD))
        sides = hands.right > 0.5
        if is_right is not None:
            sides = np.array(
                [own if given is None else bool(given) for given, own in zip(is_right, sides, strict=True)]
            )
        return _hand_boxes(hands, sides, boxes)

    def _best_in_boxes(self, picture: Pyramid, boxes: np.ndarray) -> Guesses:
        """The look of the highest worth at each box: presence, and how well the joints fill the box."""
        centers, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, np.maximum((boxes[:, 2:] - boxes[:, :2]).max(-1), 1.0)
        best: Guesses | None = None
        worth = np.full(len(boxes), -np.inf)
        for turn, tone in product(np.arange(8) * np.pi / 4, (COLOR, GREY)):
            first = self._landmarks(picture, Regions.of(centers, 1.3 * sides, turn).changed(tone=tone))
            second = self._landmarks(picture, _regions_of(first))
            for look in (first, second):
                value = look.presence + _paired_iou(look.boxes(), boxes)
                better = value > worth
                best = look if best is None else best.exchanged(np.flatnonzero(better), look[better])
                worth = np.maximum(worth, value)
        assert best is not None
        return best


@lru_cache(maxsize=1)
def _body_models() -> assets.BodyModels | None:
    """The files, or None after a warning; asked for once a process, since a network that is not there answers slowly."""
    try:
        return assets.body_models()
    except AssetError as error:
        logger.warning("arms are not followed to small hands: %s", error)
        return None


def _body_search(threads: int | None) -> BodySearch | None:
    models = _body_models()
    try:
        return None if models is None else BodySearch(*models, threads=threads)
    except AssetError as error:
        logger.warning("arms are not followed to small hands: %s", error)
        return None


def _hand_boxes(hands: Consensus, sides: np.ndarray, boxes: np.ndarray | None = None) -> HandBoxes:
    """The detector's answer: `hands` in these `boxes` (N, 4), None for those tight around the joints, right where `sides`."""
    joints = joints_of_landmarks(hands.points)
    confidences = joint_confidences(hands.spreads, hands.presence)
    keypoints = np.concatenate([joints, confidences[..., None]], -1)
    if boxes is None:
        boxes = boxes_from_keypoints(joints)
    return HandBoxes(boxes, sides, hands.scores, keypoints, hands.world)


def _shown_by(places: Regions, hands: Guesses) -> np.ndarray:
    """Which (N,) of the windows have their centre on one of the `hands` and are about its size."""
    boxes = hands.boxes()
    inside = ((places.centers[:, None] > boxes[:, :2]) & (places.centers[:, None] < boxes[:, 2:])).all(-1)
    ratio = places.sizes[:, None] / np.maximum(hands.sizes(), 1.0)
    return (inside & (ratio > 0.7) & (ratio < 4)).any(-1)


def _like_size(sizes: np.ndarray, hands: Guesses) -> np.ndarray:
    """Which (N,) of the `sizes` px a hand can have beside those `hands`; all, where there are none."""
    if not len(hands):
        return np.ones(len(sizes), bool)
    ratio = sizes[:, None] / np.maximum(hands.sizes(), 1.0)
    return ((ratio < _MOST_RATIO) & (ratio > 1 / _MOST_RATIO)).any(-1)


def _replaced(guesses: Guesses, which: np.ndarray, others: Guesses, margin: float = 0.0) -> Guesses:
    """`guesses` (N) with the rows `which` (N,) bool exchanged for those of `others` that are surer by `margin`."""
    rows = np.flatnonzero(which)
    rows_better = rows[better := others.presence > guesses.presence[rows] + margin]
    return guesses.exchanged(rows_better, others[better])


def _regions_of(guesses: Guesses) -> Regions:
    """Where to look next for hands of which there is a guess, in the tone in which they were seen."""
    return regions_from_keypoints(guesses.points).changed(tone=guesses.regions.tones)


def _paired_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union (N,) of each box of `a` with the box of `b` in the same row."""
    overlap = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None).prod(-1)
    areas = (a[:, 2:] - a[:, :2]).prod(-1) + (b[:, 2:] - b[:, :2]).prod(-1)
    return overlap / np.maximum(areas - overlap, 1e-9)


def _check_options(effort: str, min_score: float | None, max_hands: int | None, threads: int | None) -> None:
    if effort not in EFFORTS:
        raise ValueError(f"effort must be one of {', '.join(EFFORTS)}, got {effort!r}")
    if min_score is not None and not 0 <= min_score <= 1:
        raise ValueError(f"min_score must lie in 0..1, got {min_score}")
    if max_hands is not None and max_hands < 1:
        raise ValueError(f"max_hands must be at least 1, or None for all, got {max_hands}")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, or None for all cores, got {threads}")
