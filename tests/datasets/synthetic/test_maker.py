"""The picture maker: the same picture for the same numbers, and truth that fits the pixels."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from hamer.datasets.checking.posing import check_pose
from hamer.datasets.checking.sample_checks import check_hand
from hamer.datasets.synthetic.maker import MadePicture, PictureMaker, over_background
from hamer.datasets.synthetic.materials.likeness import colored_like
from hamer.datasets.synthetic.options import SyntheticOptions
from hamer.datasets.synthetic.skin import bank
from hamer.datasets.synthetic.skin.bank import SkinBank
from hamer.datasets.synthetic.vectors import projected
from hamer.geometry.mirroring import mirror_points
from hamer.hand_models.layer import HandModel

COUNT = 12


@pytest.fixture(scope="module")
def maker(hand_model: HandModel) -> PictureMaker:
    return PictureMaker(hand_model, SyntheticOptions(skins=1, second_hand=0.4, held_object=0.4, occluder=0.4), seed=3)


@pytest.fixture(scope="module")
def pictures(maker: PictureMaker) -> list[MadePicture]:
    return maker.batch(range(COUNT))


@pytest.fixture(scope="module")
def bare(hand_model: HandModel, skins: SkinBank) -> list[MadePicture]:
    """Hands alone: no arm, nothing in front, nothing beside, nobody behind, no gloves."""
    options = SyntheticOptions(skins=1, forearm=0, second_hand=0, held_object=0, occluder=0, person=0, effects=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bank, "GLOVED", 0.0)
        return PictureMaker(hand_model, options, seed=4, skins=skins).batch(range(COUNT))


def same(first: MadePicture, second: MadePicture) -> bool:
    names = ("rgb", "parts", "depth", "visibility")
    arrays = all(np.array_equal(getattr(first, name), getattr(second, name)) for name in names)
    return arrays and all(
        np.array_equal(first.annotation[k], v) for k, v in second.annotation.items() if k != "extra_info"
    )


def test_a_picture_depends_on_seed_and_index_alone(
    hand_model: HandModel, maker: PictureMaker, pictures: list[MadePicture]
) -> None:
    fresh = PictureMaker(hand_model, maker.options, seed=3)
    for index in (7, 2):  # neither first nor in order
        assert same(fresh.make(index), pictures[index])
    assert not same(PictureMaker(hand_model, maker.options, seed=5, skins=maker.scenes.skins).make(2), pictures[2])
    assert not same(pictures[2], pictures[7])


def test_pictures_are_made_on_one_thread_of_blas(maker: PictureMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several processes on as many cores would wait for one another's threads; who called keeps its own number."""

    def threads() -> list[int]:
        return [int(library["num_threads"]) for library in threadpool_info() if library["user_api"] == "blas"]

    seen: list[int] = []
    plain = maker._drawn
    monkeypatch.setattr(maker, "_drawn", lambda *given: (seen.extend(threads()), plain(*given))[1])
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        maker.make(0)
        assert threads() == before
    assert seen
    assert set(seen) == {1}


def test_pictures_are_complete(pictures: list[MadePicture]) -> None:
    for picture in pictures:
        assert picture.rgb.shape == (256, 256, 3)
        assert picture.rgb.dtype == np.uint8
        assert picture.parts.shape == picture.depth.shape == (256, 256)
        assert picture.parts.dtype == np.uint8
        assert picture.parts.max() <= 18
        assert (picture.parts[picture.depth == 0] == 0).all()
        inside = (picture.parts >= 1) & (picture.parts <= 16)
        assert inside.mean() > 0.01, "the hand can hardly be seen"
        assert np.isfinite(picture.uv[inside]).all()
        assert np.isnan(picture.uv[~inside]).all()
        assert picture.visibility.sum() >= 1
        assert picture.rgb.std() > 3, "a picture of one colour"


def test_sides_differ_and_both_come(pictures: list[MadePicture]) -> None:
    sides = [picture.truth.is_right for picture in pictures]
    assert any(sides)
    assert not all(sides)
    assert sides == [bool(picture.annotation["right"]) for picture in pictures]


def test_annotations_pass_the_checks_of_training_data(pictures: list[MadePicture], hand_model: HandModel) -> None:
    for picture in pictures:
        found = [*check_hand(picture.annotation, 256, 256), *check_pose(picture.annotation, 256, 256, hand_model)]
        assert not [problem for problem in found if problem.is_error]
        assert not [problem for problem in found if problem.code in ("mirrored", "projection", "dtype")]


def test_joints_are_those_of_the_annotated_parameters(pictures: list[MadePicture], hand_model: HandModel) -> None:
    """Parameters of the file give the joints of the file, left hands by mirroring, to what float32 holds."""
    for picture in pictures:
        sample = picture.annotation
        signs = 1.0 if bool(sample["right"]) else np.array([1, -1, -1])
        pose = torch.as_tensor((sample["hand_pose"].reshape(16, 3) * signs).astype(np.float32))
        out = hand_model.forward_axis_angle(pose[0], pose[1:].reshape(45), torch.as_tensor(sample["betas"]))
        joints = out.joints.numpy() if bool(sample["right"]) else mirror_points(out.joints.numpy())
        joints = joints + sample["translation"]
        np.testing.assert_allclose(joints, sample["keypoints_3d"][:, :3], atol=2e-5)
        pixels = projected(sample["keypoints_3d"][:, :3], sample["camera_matrix"])
        # the truth must reproject to 0.1 px; float32 keeps a hundredth
        np.testing.assert_allclose(pixels, sample["keypoints_2d"][:, :2], atol=0.02)


def test_the_drawn_outline_is_that_of_the_annotated_mesh(bare: list[MadePicture], hand_model: HandModel) -> None:
    """Labels filled from the annotation's vertices agree with the drawn ones, but for pixels on the outline.

    OpenCV fills polygons at pixel centres (0, 0); shifting one of the two by half a pixel would already be seen, which
    the second assertion shows.
    """
    whole = [picture for picture in bare if (np.abs(picture.truth.keypoints_2d - 128) < 128).all()]
    assert len(whole) >= 4
    for picture in whole[:4]:
        mask = (picture.parts >= 1) & (picture.parts <= 16)
        shifts = [(0, 0), (0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)]
        differing = [np.count_nonzero(mask ^ filled(picture, hand_model, np.array(shift))) for shift in shifts]
        assert differing[0] == min(differing)


def filled(picture: MadePicture, hand_model: HandModel, shift: np.ndarray, times: int = 4) -> np.ndarray:
    """(H, W) bool: which pixels' centres lie in a triangle of the annotated mesh, moved by `shift` px."""
    pixels = projected(picture.truth.vertices, picture.truth.camera_matrix) + shift
    height, width = picture.parts.shape
    canvas = np.zeros((height * times, width * times), np.uint8)
    fine = (pixels + 0.5) * times - 0.5
    for face in hand_model.arrays.closed_faces:
        cv2.fillConvexPoly(canvas, np.round(fine[face] * 16).astype(np.int32), 1, shift=4)
    return canvas.reshape(height, times, width, times).mean((1, 3)) > 0.5


def test_depth_is_that_of_the_mesh(bare: list[MadePicture], hand_model: HandModel) -> None:
    """Depth at a pixel is that of the nearest triangle of the annotated mesh there.

    Depth is the nearest of a pixel's samples, so that steep surfaces differ by as much as they rise within a pixel; the
    median is free of those.
    """
    for picture in bare[:4]:
        corners = projected(picture.truth.vertices, picture.truth.camera_matrix)[hand_model.arrays.closed_faces]
        depths = picture.truth.vertices[:, 2][hand_model.arrays.closed_faces]
        rows, columns = np.nonzero((picture.parts >= 1) & (picture.parts <= 16))
        picks = np.random.default_rng(0).choice(len(rows), 40)
        expected = [nearest_depth(corners, depths, np.array([columns[i], rows[i]])) for i in picks]
        differences = np.abs(picture.depth[rows[picks], columns[picks]] - expected)
        assert np.nanmedian(differences) < 5e-4
        assert np.isfinite(expected).mean() > 0.7  # a pixel on the outline is labelled where any of its samples is


def nearest_depth(corners: np.ndarray, depths: np.ndarray, pixel: np.ndarray) -> float:
    """Depth of the nearest of the triangles (F, 3, 2) px over a pixel, NaN where there is none; depths (F, 3) m."""
    a, b, c = (corners[:, i] - pixel for i in range(3))
    weights = np.stack([_cross(b, c), _cross(c, a), _cross(a, b)], -1)
    area = weights.sum(-1)
    hit = (np.sign(weights) == np.sign(area)[:, None]).all(-1) & (area != 0)
    if not hit.any():
        return float("nan")
    inverse = (weights[hit] / area[hit, None] / depths[hit]).sum(-1)  # 1 / z is linear in the picture
    return float(1 / inverse.max())


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def test_hidden_joints_are_hidden(bare: list[MadePicture]) -> None:
    """Of an uncovered hand more than half of the joints are seen on average, and never all joints of every picture."""
    counts = [picture.visibility.sum() for picture in bare]
    assert 10 < np.mean(counts) < 21


def test_what_covers_too_much_is_taken_away(hand_model: HandModel, skins: SkinBank) -> None:
    """With every joint demanded, nothing that can be taken away is left in the picture."""
    common = {"skins": 1, "least_visible": 21, "width": 96, "height": 96, "person": 0}
    options = SyntheticOptions(second_hand=1, held_object=1, occluder=1, **common)  # type: ignore[arg-type]
    plain = SyntheticOptions(second_hand=0, held_object=0, occluder=0, **common)  # type: ignore[arg-type]
    makers = [PictureMaker(hand_model, chances, seed=1, skins=skins) for chances in (options, plain)]
    for index in range(3):
        demanding, alone = (maker.make(index) for maker in makers)
        if demanding.visibility.sum() < 21:
            np.testing.assert_array_equal(demanding.parts, alone.parts)


def test_parts_of_a_hand_lie_together(bare: list[MadePicture]) -> None:
    for picture in bare:
        mask = ((picture.parts >= 1) & (picture.parts <= 16)).astype(np.uint8)
        pieces = cv2.connectedComponents(mask)[0] - 1
        assert 1 <= pieces <= 6  # fingers that come out from behind another, seldom more


def test_background_shows_where_nothing_is() -> None:
    class Half:
        color = np.full((1, 2, 3), 0.25, np.float32) * np.array([1, 0], np.float32)[None, :, None]
        alpha = np.array([[0.5, 0.0]], np.float32)

    background = np.array([[[255, 255, 255], [128, 128, 128]]], np.uint8)
    light = over_background(Half, background)  # type: ignore[arg-type]
    assert light[0, 0] == pytest.approx([0.75] * 3)
    assert light[0, 1] == pytest.approx([0.2158605] * 3, abs=1e-5)  # sRGB's 128


def lab(picture: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float64)


def test_colours_go_to_what_they_are_to_be_like() -> None:
    """The mean hue is the given one, the lightness near it, and what was lighter or redder than the rest still is."""
    rng = np.random.default_rng(0)
    stripes = np.full((64, 64, 3), (90, 120, 160), np.uint8)
    stripes[:, ::2] = 40, 60, 150
    for skin in ((224, 172, 135), (92, 60, 46)):
        moved = colored_like(stripes, np.array(skin), rng)
        target, mean = lab(np.array(skin)[None, None])[0, 0], lab(moved).mean((0, 1))
        assert moved.shape == stripes.shape
        assert moved.dtype == np.uint8
        assert np.abs(mean[1:] - target[1:]).max() < 3
        assert abs(mean[0] - target[0]) < 40
        assert (lab(moved)[0, 1] - lab(moved)[0, 0]) @ (lab(stripes)[0, 1] - lab(stripes)[0, 0]) > 0


def test_backgrounds_take_the_hands_colour_and_nothing_else_changes(hand_model: HandModel, skins: SkinBank) -> None:
    common = {"skins": 1, "second_hand": 0, "held_object": 0, "occluder": 0, "person": 0, "effects": 0, "width": 128}
    plain, alike = (
        PictureMaker(hand_model, SyntheticOptions(skin_colored=share, **common), seed=1, skins=skins)  # type: ignore[arg-type]
        for share in (0, 1)
    )
    nearer = 0
    for index in range(6):
        first, second = plain.make(index), alike.make(index)
        np.testing.assert_array_equal(first.parts, second.parts)
        np.testing.assert_array_equal(first.truth.joints, second.truth.joints)
        shown = np.pad(first.parts > 0, 2).astype(np.uint8)  # pixels at an outline show some background
        hand, behind = cv2.erode(shown, np.ones((5, 5)))[2:-2, 2:-2] > 0, first.depth == 0
        assert (first.rgb[hand] == second.rgb[hand]).all(-1).mean() > 0.99  # but where it shows between two fingers
        hue = lab(first.rgb)[(first.parts > 0) & (first.parts < 17)].mean(0)[1:]
        far = [np.linalg.norm(lab(p.rgb)[behind].mean(0)[1:] - hue) for p in (first, second)]
        nearer += far[1] < far[0]
    assert nearer >= 5


def test_things_take_the_hands_colour(hand_model: HandModel, skins: SkinBank) -> None:
    common = {"skins": 1, "second_hand": 0, "person": 0, "occluder": 1, "held_object": 1}
    plain, alike = (
        PictureMaker(hand_model, SyntheticOptions(skin_colored=share, **common), seed=1, skins=skins).scenes  # type: ignore[arg-type]
        for share in (0, 1)
    )
    for index in range(4):
        first, second = (maker.scene(np.random.default_rng(index)) for maker in (plain, alike))
        assert len(first.extras) == len(second.extras) > 0
        for (before,), (after,) in zip(first.extras, second.extras, strict=True):
            np.testing.assert_array_equal(before.vertices, after.vertices)
            red, _, blue = after.albedo.reshape(-1, 3).mean(0)
            assert red > blue
            assert not np.array_equal(before.albedo, after.albedo)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 8), ("width", 256.5), ("height", "256"), ("supersample", 5), ("supersample", 2.0), ("left", 1.5),
        ("left", "often"), ("effects", -0.1), ("effects", float("nan")), ("least_visible", 22), ("skins", 0.5),
        ("skin_colored", 2), ("box_factor", 0), ("box_factor", float("inf")),
    ],
)  # fmt: skip
def test_options_say_what_is_wrong(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        SyntheticOptions(**{name: value})  # type: ignore[arg-type]


def test_options_of_the_same_value_are_recorded_alike() -> None:
    first, second = (json.dumps(SyntheticOptions(effects=one).plain()) for one in (1, 1.0))
    assert first == second


def test_negative_numbers_are_refused(maker: PictureMaker, hand_model: HandModel) -> None:
    with pytest.raises(ValueError, match="index"):
        maker.make(-1)
    with pytest.raises(ValueError, match="seed"):
        PictureMaker(hand_model, seed=-1)
