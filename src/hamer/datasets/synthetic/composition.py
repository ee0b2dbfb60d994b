"""What is put together for a picture: the annotated hand, its arm, another hand, things held and in front, a body behind."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hamer.datasets.synthetic.arms.forearm import forearm
from hamer.datasets.synthetic.drawing.lights import Lights, draw_lights
from hamer.datasets.synthetic.drawing.surfaces import OTHER_HAND, Surface
from hamer.datasets.synthetic.hands.posed_hand import HandCloth, PosedHand, mirrored_vertices
from hamer.datasets.synthetic.hands.poses import draw_hands
from hamer.datasets.synthetic.hands.views import Views, draw_views
from hamer.datasets.synthetic.materials.likeness import colored_like
from hamer.datasets.synthetic.options import SyntheticOptions
from hamer.datasets.synthetic.persons.placing import person_behind
from hamer.datasets.synthetic.skin.bank import Skin, SkinBank
from hamer.datasets.synthetic.skin.tones import to_srgb
from hamer.datasets.synthetic.things.holding import held_object
from hamer.datasets.synthetic.things.occluders import occluder
from hamer.geometry.mirroring import mirror_faces, mirror_points
from hamer.hand_models.layer import HandModel

_NEAREST = 0.12  # m from the camera that another hand keeps
_STRANGER = 0.25  # chance that another hand is another person's, with another skin
_TOUCHING = 0.4  # chance that another hand is as near as the picture allows, else anywhere beside or behind


@dataclass
class Scene:
    """A picture's surfaces and light: `own`, the annotated hand with its arm, `extras` that may cover it, a body `behind`.

    `camera_matrix` (3, 3) px, the first pixel's centre at (0.5, 0.5), as drawing counts; `family`: the kind of pose.
    `extras` are in the order in which they are taken away again where too much is covered.
    """

    hand: PosedHand
    family: str
    camera_matrix: np.ndarray
    lights: Lights
    own: list[Surface]
    extras: list[list[Surface]] = field(default_factory=list)
    behind: list[Surface] = field(default_factory=list)

    def surfaces(self) -> list[Surface]:
        """All surfaces of the picture."""
        return [*self.own, *(surface for extra in self.extras for surface in extra), *self.behind]


class SceneMaker:
    """Scenes of one hand model.

    Args:
        model: the hand of which everything is made.
        options: chances of what is in a scene.
        skins: whose skins the hands wear; None makes a bank as the options say.
    """

    def __init__(self, model: HandModel, options: SyntheticOptions, skins: SkinBank | None = None) -> None:
        self.model, self.options = model, options
        self.skins = SkinBank(model.arrays, count=options.skins) if skins is None else skins
        self.cloth = HandCloth(model.arrays)

    def scene(self, rng: np.random.Generator) -> Scene:
        """A scene of a right hand; everything random comes from `rng`."""
        pose_rng, view_rng, light_rng, skin_rng, arm_rng, other_rng, thing_rng, person_rng = rng.spawn(8)
        draws = draw_hands(1, [pose_rng], self.model)
        views = self._views(draws.hand_pose, draws.betas, view_rng)
        hand = PosedHand.of(draws.hand_pose[0], draws.betas[0], views)
        skin = self.skins.draw(skin_rng)
        scene = Scene(hand, draws.family[0], np.asarray(views.camera_matrix[0], np.float64), draw_lights(light_rng), [])
        scene.own = self._with_arm(hand.vertices, skin, arm_rng)
        scene.extras = [*self._things(scene, skin, thing_rng), *self._other(scene, skin, other_rng)]
        scene.behind = self._person(scene, skin, person_rng)
        return scene

    def _person(self, scene: Scene, skin: Skin, rng: np.random.Generator) -> list[Surface]:
        """Somebody behind the hand, and behind what it holds and another hand beside it."""
        if rng.random() >= self.options.person:
            return []
        before = [scene.hand.vertices, *(extra[0].vertices for extra in scene.extras)]
        size = (self.options.width, self.options.height)
        return person_behind(np.concatenate(before), scene.hand.vertices, scene.camera_matrix, size, skin.tone, rng)

    def _views(self, hand_pose: np.ndarray, betas: np.ndarray, rng: np.random.Generator) -> Views:
        return draw_views(hand_pose, betas, [rng], self.model, self.options.width, self.options.height)

    def _with_arm(self, vertices: np.ndarray, skin: Skin, rng: np.random.Generator) -> list[Surface]:
        surfaces = [self.cloth.surface(vertices, skin)]
        if rng.random() < self.options.forearm:
            surfaces.append(forearm(vertices, self.model.arrays, skin, rng))
        return surfaces

    def _things(self, scene: Scene, skin: Skin, rng: np.random.Generator) -> list[list[Surface]]:
        """What covers the hand in front, then what it holds; either may be absent."""
        front_rng, held_rng, likeness_rng = rng.spawn(3)
        joints = scene.hand.joints
        things = []
        if front_rng.random() < self.options.occluder:
            things.append(occluder(joints, scene.camera_matrix, front_rng))
        if held_rng.random() < self.options.held_object:
            things.append(held_object(joints, held_rng))
        found = [thing for thing in things if thing is not None]
        for thing in found:
            if likeness_rng.random() < self.options.skin_colored:
                thing.albedo = colored_like(thing.albedo, to_srgb(skin.tone.back), likeness_rng)
        return [[thing] for thing in found]

    def _other(self, scene: Scene, skin: Skin, rng: np.random.Generator) -> list[list[Surface]]:
        """Another hand beside, behind or touching the annotated one, usually the same person's other hand."""
        if rng.random() >= self.options.second_hand:
            return []
        pose_rng, view_rng, skin_rng, arm_rng = rng.spawn(4)
        draws = draw_hands(1, [pose_rng], self.model)
        stranger = rng.random() < _STRANGER
        betas = draws.betas[0] if stranger else scene.hand.betas
        placed = PosedHand.of(draws.hand_pose[0], betas, self._views(draws.hand_pose, betas[None], view_rng))
        shift = _place_beside(scene.hand.vertices, placed.vertices, rng)
        is_left = rng.random() < (0.5 if stranger else 0.85)
        vertices = (mirrored_vertices(placed) if is_left else placed.vertices) + shift
        worn = self.skins.draw(skin_rng) if stranger else skin
        hand = self.cloth.surface(vertices, worn, other=True, mirrored=is_left)
        return [[hand, *self._other_arm(placed, shift, worn, is_left, arm_rng)]]

    def _other_arm(
        self, hand: PosedHand, shift: np.ndarray, skin: Skin, is_left: bool, rng: np.random.Generator
    ) -> list[Surface]:
        if rng.random() >= self.options.forearm:
            return []
        arm = forearm(hand.vertices, self.model.arrays, skin, rng)
        if is_left:
            middle = hand.vertices.mean(0)
            arm.vertices = (mirror_points(arm.vertices - middle) + middle).astype(np.float32)
            arm.faces, arm.uv_faces = (np.ascontiguousarray(mirror_faces(f)) for f in (arm.faces, arm.uv_faces))
        arm.vertices = (arm.vertices + shift).astype(np.float32)
        arm.labels = np.full_like(arm.labels, OTHER_HAND)
        return [arm]


def _place_beside(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Translation (3,) m that puts the points `second` (V, 3) beside `first` (V, 3): touching, or farther and mostly behind."""
    reach = (np.ptp(first[:, :2], axis=0).mean() + np.ptp(second[:, :2], axis=0).mean()) / 2
    angle = rng.uniform(0, 2 * np.pi)
    touches = rng.random() < _TOUCHING
    apart = rng.uniform(0.45, 0.8) if touches else rng.uniform(0.7, 1.5)
    behind = rng.uniform(-0.02, 0.06) if touches else rng.uniform(-0.04, 0.3)
    offset = np.array([np.cos(angle) * apart * reach, np.sin(angle) * apart * reach, behind])
    shift = (first.min(0) + first.max(0)) / 2 + offset - (second.min(0) + second.max(0)) / 2
    shift[2] += max(0.0, _NEAREST - float(second[:, 2].min() + shift[2]))
    return shift.astype(np.float32)
