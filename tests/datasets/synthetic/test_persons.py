"""Bodies behind hands: sound meshes, never before the hand, the same for the same numbers, and gone at chance 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hamer.datasets.synthetic.composition import Scene, SceneMaker
from hamer.datasets.synthetic.drawing.numba_drawing import Drawn, draw
from hamer.datasets.synthetic.drawing.surfaces import NO_HAND, Surface
from hamer.datasets.synthetic.drawing.torch_drawing import draw_batch
from hamer.datasets.synthetic.maker import PictureMaker, truth_of
from hamer.datasets.synthetic.options import SyntheticOptions
from hamer.datasets.synthetic.persons import heads
from hamer.datasets.synthetic.persons.placing import GAP, person_behind
from hamer.datasets.synthetic.skin.bank import SkinBank
from hamer.datasets.synthetic.skin.tones import draw_tone
from hamer.datasets.synthetic.truth import visible_joints
from hamer.hand_models.layer import HandModel

COUNT, SIDE = 40, 96


@pytest.fixture(scope="module")
def maker(hand_model: HandModel, skins: SkinBank) -> SceneMaker:
    return SceneMaker(hand_model, SyntheticOptions(width=SIDE, height=SIDE, person=1), skins)


@pytest.fixture(scope="module")
def scenes(maker: SceneMaker) -> list[Scene]:
    return [maker.scene(np.random.default_rng([8, index])) for index in range(COUNT)]


def drawn(scene: Scene) -> Drawn:
    return draw(scene.surfaces(), scene.lights, scene.camera_matrix, SIDE, SIDE)


def test_bodies_are_valid_surfaces_without_a_label(scenes: list[Scene]) -> None:
    bodies = [surface for scene in scenes for surface in scene.behind]
    assert np.mean([bool(scene.behind) for scene in scenes]) > 0.9
    for body in bodies:  # Surface itself refuses what is not finite or does not fit together
        assert (body.labels == NO_HAND).all()
        assert not body.casts
        assert body.uv.min() >= 0
        assert body.uv.max() <= 1
        assert body.relief is None or np.isfinite(body.relief).all()
    assert {body.scattering for body in bodies} >= {0.1, 0.3, 1.0}, "cloth, hair and skin"


def test_bodies_are_behind_the_hand_and_what_is_with_it(scenes: list[Scene]) -> None:
    for scene in scenes:
        nearest = min((float(body.vertices[:, 2].min()) for body in scene.behind), default=np.inf)
        others = [float(extra[0].vertices[:, 2].max()) for extra in scene.extras]
        assert nearest >= max(float(scene.hand.vertices[:, 2].max()), *others, 0.0) + 0.005


def test_bodies_hide_nothing_of_the_hand(scenes: list[Scene]) -> None:
    for scene in scenes[:15]:
        truth = truth_of(scene)
        one, other = drawn(scene), drawn(replace(scene, behind=[]))
        hand = (other.label >= 1) & (other.label <= 16)
        np.testing.assert_array_equal((one.label >= 1) & (one.label <= 16), hand)
        np.testing.assert_array_equal(one.label[hand], other.label[hand])
        np.testing.assert_array_equal(one.depth[hand], other.depth[hand])
        seen = [visible_joints(truth.joints, truth.keypoints_2d, d.depth, d.label) for d in (one, other)]
        np.testing.assert_array_equal(seen[0], seen[1])


def test_bodies_fill_what_is_behind_hands(scenes: list[Scene]) -> None:
    """A third of the picture on average, from nearly nothing to nearly all."""
    shares = np.array([(drawn(replace(s, own=[], extras=[])).alpha > 0).mean() for s in scenes])
    assert 0.2 < shares.mean() < 0.8
    assert shares.max() > 0.8


def test_a_scene_depends_on_its_generator_alone(maker: SceneMaker, scenes: list[Scene]) -> None:
    for index in (5, 2):
        again = maker.scene(np.random.default_rng([8, index]))
        assert len(again.behind) == len(scenes[index].behind)
        for first, second in zip(again.behind, scenes[index].behind, strict=True):
            np.testing.assert_array_equal(first.vertices, second.vertices)
            np.testing.assert_array_equal(first.albedo, second.albedo)


def test_a_body_changes_nothing_else(hand_model: HandModel, skins: SkinBank) -> None:
    """At chance 0 a picture is the one at chance 1 whose body is taken away, to the byte."""
    makers = [
        PictureMaker(hand_model, SyntheticOptions(width=SIDE, height=SIDE, person=chance), seed=6, skins=skins)
        for chance in (0, 1)
    ]
    scene_of = makers[1].scenes.scene
    emptied = lambda rng: replace(scene_of(rng), behind=[])  # noqa: E731
    makers[1].scenes.scene = emptied  # type: ignore[method-assign]
    for index in range(6):
        without, removed = (maker.make(index) for maker in makers)
        np.testing.assert_array_equal(without.rgb, removed.rgb)
        np.testing.assert_array_equal(without.parts, removed.parts)


def test_shadow_maps_are_fitted_to_the_hand(scenes: list[Scene]) -> None:
    """A body behind leaves the hand's own shading as it is but for the light that it hides from hollows (occlusion)."""
    for scene in scenes[:6]:
        one, other = drawn(scene), drawn(replace(scene, behind=[]))
        inner = (other.label >= 1) & (other.label <= 16) & (other.alpha > 0.999)
        assert np.median(np.abs(one.color - other.color)[inner]) < 1e-3


def test_torch_draws_the_same(scenes: list[Scene]) -> None:
    chosen = scenes[:3]
    batch = draw_batch(
        [s.surfaces() for s in chosen],
        [s.lights for s in chosen],
        np.stack([s.camera_matrix for s in chosen]),
        SIDE,
        SIDE,
    )
    for number, scene in enumerate(chosen):
        expected, found = drawn(scene), batch.picture(number)
        same = (found.label == expected.label) & (found.alpha == expected.alpha)
        assert same.mean() > 0.995
        assert np.percentile(np.abs(found.color - expected.color)[same], 98) < 1e-3


def test_heads_have_their_size() -> None:
    heights = []
    for seed in range(30):
        face = heads.draw_face(np.random.default_rng(seed))
        vertices = heads.head(face).vertices
        assert np.isfinite(vertices).all()
        front = vertices[vertices[:, 2] < -0.07 * face.size[2]]  # the face, down to below the chin
        heights.append(front[:, 1].max())
        assert 0.13 < np.ptp(vertices[vertices[:, 1] < 0.2 * face.size[1], 0]) < 0.24, "ears and all"
    assert np.mean(heights) == pytest.approx(heads.HEIGHT, abs=0.015)


@pytest.mark.parametrize("distance", [0.15, 0.5, 2.5])
def test_bodies_keep_their_distance(distance: float) -> None:
    rng = np.random.default_rng(2)
    hand = rng.normal(0, 0.02, (50, 3)) + np.array([0, 0, distance])
    camera_matrix = np.array([[300.0, 0, 64], [0, 300, 64], [0, 0, 1]])
    for _ in range(15):
        body: list[Surface] = person_behind(hand, hand, camera_matrix, (128, 128), draw_tone(rng), rng)
        nearest = min((float(part.vertices[:, 2].min()) for part in body), default=np.inf)
        assert nearest >= hand[:, 2].max() + GAP[0] - 1e-6
