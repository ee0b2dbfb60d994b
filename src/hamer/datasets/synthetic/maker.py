"""Made pictures: a scene drawn, put before a background, photographed, with its exact truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from threadpoolctl import ThreadpoolController

from hamer.datasets.landmarking import Landmarker
from hamer.datasets.synthetic.backgrounds.backgrounds import Backgrounds
from hamer.datasets.synthetic.camera.effects import photograph
from hamer.datasets.synthetic.composition import Scene, SceneMaker
from hamer.datasets.synthetic.drawing.numba_drawing import Drawn, draw
from hamer.datasets.synthetic.drawing.surfaces import FIRST_PART, LAST_PART
from hamer.datasets.synthetic.materials.likeness import colored_like
from hamer.datasets.synthetic.options import SyntheticOptions
from hamer.datasets.synthetic.skin.bank import SkinBank
from hamer.datasets.synthetic.srgb import level_of, light_of_bytes
from hamer.datasets.synthetic.truth import HandTruth, annotation, visible_joints
from hamer.hand_models.layer import HandModel

_HIDDEN_BY_ARM = 3  # joints that an arm must hide to be left out of a picture that shows too few


@dataclass
class MadePicture:
    """One made picture and all that is known of it, pixel for pixel.

    `rgb` (H, W, 3) uint8; `parts` (H, W) uint8 labels (0 no hand, 1 to 16 the annotated hand's part of MANO joint label
    - 1, 17 its arm, 18 another hand); `depth` (H, W) float32 m of the nearest surface, 0 where the background is; `uv` (H,
    W, 2) float32 texture coordinates of the annotated hand, NaN elsewhere; `visibility` (21,) bool; `truth`: joints,
    vertices, parameters and camera; `annotation`: the hand as the house's tars hold it.
    """

    rgb: np.ndarray
    parts: np.ndarray
    depth: np.ndarray
    uv: np.ndarray
    visibility: np.ndarray
    truth: HandTruth
    annotation: dict[str, Any]


class PictureMaker:
    """Pictures by number: picture `index` of a seed is the same, whatever was made before, in whichever process.

    Args:
        hand_model: the hand that is drawn and annotated.
        options: size and content; None for the defaults.
        seed: of everything random; pictures of different seeds have nothing in common.
        backgrounds: where backgrounds come from, in their own shares; None for made-up ones.
        landmarker: notes what the landmark model sees, as `landmarks_2d` and `landmarks_3d` of the annotation; None
            leaves that out.
        skins: see `SceneMaker`.
    """

    def __init__(
        self,
        hand_model: HandModel,
        options: SyntheticOptions | None = None,
        seed: int = 0,
        *,
        backgrounds: Backgrounds | None = None,
        landmarker: Landmarker | None = None,
        skins: SkinBank | None = None,
    ) -> None:
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        self.options, self.seed = options or SyntheticOptions(), seed
        self.hand_model = hand_model.eval()
        self.scenes = SceneMaker(self.hand_model, self.options, skins)
        self.backgrounds = Backgrounds() if backgrounds is None else backgrounds
        self.landmarker = landmarker
        self._threads = ThreadpoolController()

    def batch(self, indices: Sequence[int]) -> list[MadePicture]:
        """The pictures of `indices`, in their order."""
        return [self.make(index) for index in indices]

    def make(self, index: int) -> MadePicture:
        """Picture number `index`, 0 or more.

        NumPy's matrix products get one thread meanwhile: they are small, and its threads would spend other cores on waiting.
        """
        if index < 0:
            raise ValueError(f"index must be 0 or more, got {index}")
        with self._threads.limit(limits=1, user_api="blas"):
            return self._make(index)

    def _make(self, index: int) -> MadePicture:
        rng = np.random.default_rng([self.seed, index])
        scene_rng, background_rng, effects_rng, landmark_rng, likeness_rng = rng.spawn(5)
        is_left = rng.random() < self.options.left
        scene = self.scenes.scene(scene_rng)
        truth = truth_of(scene)
        drawn, visibility = self._drawn(scene, truth)
        options = self.options
        background = self.backgrounds.draw(options.width, options.height, background_rng)
        if likeness_rng.random() < options.skin_colored:
            background = colored_like(background, shown_color(drawn), likeness_rng)
        light = over_background(drawn, background)
        parts, depth, uv = drawn.label, drawn.depth, drawn.uv
        if is_left:
            light, parts, depth, uv = (np.ascontiguousarray(a[:, ::-1]) for a in (light, parts, depth, uv))
            truth = truth.mirrored(options.width)
        rgb = photograph(light, effects_rng, options.effects * effects_rng.uniform())
        labels = annotation(truth, visibility, options.width, options.height, options.box_factor)
        if self.landmarker is not None:
            found = self.landmarker.of(rgb, truth.keypoints_2d, landmark_rng)
            labels |= {} if found is None else found.labels()
        return MadePicture(rgb, parts, depth, uv, visibility, truth, labels)

    def _drawn(self, scene: Scene, truth: HandTruth) -> tuple[Drawn, np.ndarray]:
        """The scene drawn, and which joints are seen; what covers too much of the hand is taken away first."""
        least = self.options.least_visible
        drawn, seen = self._look(scene, truth)
        while seen.sum() < least and scene.extras:
            scene.extras.pop(0)
            drawn, seen = self._look(scene, truth)
        if seen.sum() < least and len(scene.own) > 1:  # is it an arm that comes from the camera, or the hand itself?
            without = self._look(replace(scene, own=scene.own[:1]), truth)
            if without[1].sum() >= seen.sum() + _HIDDEN_BY_ARM:
                return without
        return drawn, seen

    def _look(self, scene: Scene, truth: HandTruth) -> tuple[Drawn, np.ndarray]:
        options = self.options
        drawn = draw(
            scene.surfaces(), scene.lights, scene.camera_matrix, options.width, options.height, options.supersample
        )
        return drawn, visible_joints(truth.joints, truth.keypoints_2d, drawn.depth, drawn.label)


def truth_of(scene: Scene) -> HandTruth:
    """What is known of a scene's annotated hand, a right one."""
    hand = scene.hand
    rotations = np.concatenate([hand.global_orient[None], hand.hand_pose])
    pose = np.concatenate([cv2.Rodrigues(r.astype(np.float64))[0][:, 0] for r in rotations]).astype(np.float32)
    matrix = scene.camera_matrix.copy()
    matrix[:2, 2] -= 0.5  # drawing counts pixels from the picture's corner, training from the first pixel's centre
    return HandTruth(True, pose, hand.betas, hand.translation, hand.joints, hand.vertices, matrix, scene.family)


def shown_color(drawn: Drawn) -> np.ndarray:
    """Mean colour (3,) sRGB 0..255 of the annotated hand, lit as it is; middle grey where nothing of it is seen."""
    seen = (drawn.label >= FIRST_PART) & (drawn.label <= LAST_PART) & (drawn.alpha > 0.99)
    light = drawn.color[seen].mean(0) if seen.any() else np.full(3, 0.2, np.float32)
    return 255 * level_of(np.clip(light, 0, 1))


def over_background(drawn: Drawn, background: np.ndarray) -> np.ndarray:
    """Light (H, W, 3) float32 of what was drawn before a background (H, W, 3) uint8 sRGB."""
    return drawn.color + cv2.LUT(background, light_of_bytes()[:, None]) * (1 - drawn.alpha[..., None])
