"""Every way on made pictures that no training saw, by the figures of `hamer.evaluation`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ablation.ways import Answer, Way
from hamer.checkpoints.unpickling import load_pickle
from hamer.datasets.skipping import SkipCounts
from hamer.datasets.tar_reading import TarSample, read_tar
from hamer.evaluation import EvaluationBatch, EvaluationResult, HandEvaluator
from hamer.geometry.boxes import boxes_from_keypoints, clip_boxes
from hamer.geometry.cameras import default_camera
from hamer.geometry.mirroring import mirror_axis_angle, mirror_points
from hamer.hand_models import HandModel
from hamer.pipeline.building import load_hand_model
from hamer.pipeline.pictures import Picture
from hamer.structures import HandBoxes

CHUNK = 64
HEADER = (
    "| way | hands | PA-MPJPE mm | PA-MPVPE mm | F@5 | F@15 | MPJPE mm | PCK@0.05 | PCK@0.1 | ms a hand |",
    "|---|---|---|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True)
class MadeHand:
    """A picture with one hand: what a detector would say of it, and the truth (a left hand as the left hand that it is)."""

    picture: Picture
    found: HandBoxes
    is_right: bool
    joints: np.ndarray
    vertices: np.ndarray
    keypoints_2d: np.ndarray

    @property
    def is_seen(self) -> bool:
        """Whether the landmark model saw the hand."""
        return self.found.keypoints_2d is not None


def hands_of_folder(folder: Path, count: int | None) -> list[MadeHand]:
    """The first hands of a folder that `hamer data synthesize` wrote."""
    tars = sorted(folder.rglob("*.tar"))
    if not tars:
        raise FileNotFoundError(f"{folder} must hold tars of hamer data synthesize, and there is none")
    skipped = SkipCounts()
    samples = (sample for tar in tars for sample in read_tar(str(tar), skipped))
    return list(_hands(islice(samples, count)))


def hands_made_now(count: int, seed: int) -> list[MadeHand]:
    """`count` pictures of a seed, with what the landmark model says of them."""
    from hamer.datasets.synthetic.shards import Recipe, encoded

    recipe = Recipe(seed=seed)
    maker = recipe.maker()
    samples = (
        TarSample(f"{i:06d}", "made", dict(encoded(maker.make(i), recipe.quality).members)) for i in range(count)
    )
    return list(_hands(samples))


def mended(hands: Sequence[MadeHand], most: float, seed: int = 0) -> list[MadeHand]:
    """The seen hands, each one's landmarks moved by a share of 0 to `most` of their errors towards the truth.

    The landmark model errs more on made pictures than on photos, and ways that follow it look worse than they are.
    """
    rng = np.random.default_rng(seed)
    changed = []
    for hand in hands:
        points, guess = hand.found.keypoints_2d, hand.found.keypoints_3d
        if points is None or guess is None:
            continue
        share = rng.uniform(0, most)
        points, guess = points.copy(), guess - guess[:, :1]
        points[0, :, :2] += share * (hand.keypoints_2d - points[0, :, :2])
        guess[0] += share * (hand.joints - hand.joints[0] - guess[0])
        box = np.concatenate([points[0, :, :2].min(0), points[0, :, :2].max(0)])
        changed.append(
            replace(hand, found=replace(hand.found, boxes=box[None], keypoints_2d=points, keypoints_3d=guess))
        )
    return changed


def table(hands: Sequence[MadeHand], ways: Sequence[Way]) -> Iterator[str]:
    """Lines of markdown: first the hands that the landmark model sees, then the others, then all."""
    seen = [hand for hand in hands if hand.is_seen]
    unseen = [hand for hand in hands if not hand.is_seen]
    yield f"{len(hands)} made pictures, {len(seen)} hands that the landmark model sees:"
    yield ""
    yield from HEADER
    results = {way.title: _run(way, seen) for way in ways} if seen else {}
    for title, (result, seconds) in results.items():
        yield _row(title, result, seconds)
    by_picture = [way for way in ways if way.estimator is not None and not way.title.startswith("fitting")]
    if not unseen or not by_picture:
        return
    yield ""
    yield f"The {len(unseen)} hands that it does not see, and all {len(hands)}:"
    yield ""
    yield from HEADER
    for way in by_picture:
        result, seconds = _run(way, unseen)
        yield _row(f"{way.title}: unseen", result, seconds)
        if seen:
            both, spent = results[way.title]
            yield _row(f"{way.title}: all", EvaluationResult.joined([both, result]), seconds + spent)


def _run(way: Way, hands: Sequence[MadeHand]) -> tuple[EvaluationResult, float]:
    evaluator, seconds = HandEvaluator(threads=1), 0.0
    for start in range(0, len(hands), CHUNK):
        chunk = hands[start : start + CHUNK]
        pictures = [hand.picture for hand in chunk]
        cameras = [default_camera(p.width, p.height) for p in pictures]
        answers, spent = way(pictures, cameras, [hand.found for hand in chunk])
        seconds += spent
        pairs = [(hand, given[0]) for hand, given in zip(chunk, answers, strict=True) if given]
        if pairs:
            evaluator.add(_batch(pairs))
    return evaluator.result(), seconds


def _batch(pairs: Sequence[tuple[MadeHand, Answer]]) -> EvaluationBatch:
    truth, given = [t for t, _ in pairs], [a for _, a in pairs]
    points = np.stack([t.keypoints_2d for t in truth]).astype(np.float64)
    has_mesh = all(a.vertices is not None for a in given)
    return EvaluationBatch(
        joints=np.stack([a.joints for a in given]),
        true_joints=np.stack([t.joints for t in truth]),
        vertices=np.stack([a.vertices for a in given if a.vertices is not None]) if has_mesh else None,
        true_vertices=np.stack([t.vertices for t in truth]) if has_mesh else None,
        keypoints_2d=np.stack([a.keypoints_2d for a in given]),
        true_keypoints_2d=points,
        box_size=np.ptp(points, axis=1).max(-1),
        is_right=np.array([t.is_right for t in truth]),
    )


def _row(title: str, result: EvaluationResult, seconds: float) -> str:
    s = result.summary()

    def shown(value: float | None, digits: int) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    figures = [shown(s.pa_mpjpe, 2), shown(s.pa_mpvpe, 2), shown(s.f_5, 3), shown(s.f_15, 3), shown(s.mpjpe, 1)]
    figures += [shown(s.pck.get(0.05), 3), shown(s.pck.get(0.1), 3), f"{1000 * seconds / max(len(result), 1):.1f}"]
    return f"| {title} | {len(result)} | " + " | ".join(figures) + " |"


def _hands(samples: Iterable[TarSample]) -> Iterator[MadeHand]:
    model = load_hand_model("open")
    for sample in samples:
        encoded = cv2.imdecode(np.frombuffer(sample.picture or b"", np.uint8), cv2.IMREAD_COLOR)
        picture = Picture(np.ascontiguousarray(encoded[..., ::-1]))
        (annotation,) = load_pickle(sample.members["data.pyd"])
        joints, vertices = _truth(model, annotation)
        points = np.asarray(annotation["keypoints_2d"])[:, :2]
        yield MadeHand(picture, _found(annotation, picture), bool(annotation["right"] > 0.5), joints, vertices, points)


def _truth(model: HandModel, annotation: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Joints as annotated, and vertices of the annotated parameters where the joints are."""
    is_right = bool(annotation["right"] > 0.5)
    pose = np.asarray(annotation["hand_pose"], np.float32).reshape(16, 3)
    pose = pose if is_right else mirror_axis_angle(pose)
    betas = torch.from_numpy(np.asarray(annotation["betas"], np.float32))
    output = model.forward_axis_angle(torch.from_numpy(pose[0]), torch.from_numpy(pose[1:]).flatten(), betas)
    own, vertices = output.joints.numpy(), output.vertices.numpy()
    if not is_right:
        own, vertices = mirror_points(own), mirror_points(vertices)
    joints = np.asarray(annotation["keypoints_3d"], np.float32)[:, :3]
    shift = joints[0] - own[0]
    if np.abs(own + shift - joints).max() > 1e-4:
        raise ValueError(
            "the annotated parameters do not give the annotated joints: were these pictures of another hand?"
        )
    return joints, vertices + shift


def _found(annotation: dict[str, Any], picture: Picture) -> HandBoxes:
    """What the detector would give: the box around its landmarks, or around the true joints where it sees no hand."""
    is_right = [bool(annotation["right"] > 0.5)]
    points = annotation.get("landmarks_2d")
    if points is None:
        true = np.asarray(annotation["keypoints_2d"], np.float32)[:, :2]
        box = clip_boxes(boxes_from_keypoints(true), picture.width - 1, picture.height - 1)
        return HandBoxes(box[None], is_right, [1.0])
    points = np.asarray(points, np.float32)
    box = np.concatenate([points[:, :2].min(0), points[:, :2].max(0)])
    return HandBoxes(box[None], is_right, [1.0], points[None], np.asarray(annotation["landmarks_3d"])[None])
