"""Training crops that show hands upright: labels turn with the pixels, and inference shows a network the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from hamer.configs.node import ConfigNode
from hamer.crops.augmentation import Augmentation
from hamer.crops.upright import hand_rotation
from hamer.datasets import patch_pixels
from hamer.datasets.crop_settings import CropSettings
from hamer.datasets.extra_labels import landmarks_of
from hamer.datasets.hands import Hand, PatchCutter, Picture, hands_of_sample
from hamer.datasets.skipping import SkipCounts
from hamer.datasets.synthetic.maker import MadePicture, PictureMaker
from hamer.datasets.synthetic.options import SyntheticOptions
from hamer.datasets.synthetic.shards import encoded
from hamer.datasets.tar_filters import AnnotationFilters
from hamer.datasets.tar_items import plan_tar_item, view_of
from hamer.datasets.tar_reading import TarSample
from hamer.geometry.directions import turns_about_view
from hamer.geometry.mirroring import mirror_points
from hamer.pipeline.network_inputs import NetworkInputs, landmarks_in_crops
from hamer.pipeline.reconstructor import load_hand_model
from hamer.pipeline.views import Views
from hamer.structures import HandBoxes


@pytest.fixture(scope="module")
def made() -> list[MadePicture]:
    """Four made pictures, right and left hands."""
    maker = PictureMaker(load_hand_model(), SyntheticOptions(skins=1, person=0), seed=990_003)
    pictures = maker.batch(range(8))
    sides = [p for s in (True, False) for p in pictures if p.truth.is_right == s]
    return [sides[0], sides[1], sides[-1], sides[-2]]


def settings(*, train: bool = False, **config: Any) -> CropSettings:
    model = {"IMAGE_SIZE": 128, "RESCALE_FACTOR": 1.6, "UPRIGHT": True}
    augmentation = {
        "SCALE_FACTOR": 0.0, "ROT_FACTOR": 0, "TRANS_FACTOR": 0.0, "COLOR_SCALE": 0.0, "ROT_AUG_RATE": 0.0, "DO_FLIP": False,
        "EXTREME_CROP_AUG_RATE": 0.0, **config,
    }  # fmt: skip
    datasets = {"LANDMARKS": True, "CONFIG": augmentation}
    return CropSettings.from_cfg(ConfigNode({"MODEL": model, "DATASETS": datasets}), train=train)


def annotation_of(picture: MadePicture, off_px: float = 0.0) -> dict[str, Any]:
    """As a tar holds it, with landmarks that are the true joints, or off by so many px."""
    annotation = dict(picture.annotation)
    points = np.asarray(annotation["keypoints_2d"], np.float32).copy()
    points[:, :2] += np.random.default_rng(1).normal(0, off_px, (21, 2)) if off_px else 0
    points[:, 2] = 0.8
    return annotation | {"landmarks_2d": points, "landmarks_3d": picture.truth.joints.astype(np.float32)}


def test_labels_turn_with_the_crop(made: list[MadePicture]) -> None:
    for picture in made:
        annotation, shape = annotation_of(picture, off_px=2.0), picture.rgb.shape[:2]
        view = view_of(annotation, shape, 10.0)
        assert view is not None
        plan = plan_tar_item(annotation, shape[1], settings(), Augmentation(), view=view)
        told = hand_rotation(annotation["landmarks_2d"][:, :2])
        assert view.rotation == pytest.approx(told + 10)  # the direction is that of the landmarks, not the true one
        assert plan.rotation == pytest.approx(view.rotation if picture.truth.is_right else -view.rotation)
        side = 1 if picture.truth.is_right else -1
        seen = landmarks_of(annotation, plan, shape[1], 128)[:, :2]
        assert hand_rotation(seen) == pytest.approx(-10 * side, abs=0.01)  # turned too far by so much; float32 pixels
        turn = turns_about_view(-plan.rotation)
        joints = picture.truth.joints if picture.truth.is_right else mirror_points(picture.truth.joints)
        np.testing.assert_allclose(plan.keypoints_3d[:, :3], joints @ turn.T, atol=1e-5)
        before = np.asarray(picture.annotation["hand_pose"], float)[:3] * (1, side, side)
        rotation, _ = cv2.Rodrigues(plan.mano_params["global_orient"].astype(float))
        np.testing.assert_allclose(rotation, turn @ cv2.Rodrigues(before)[0], atol=1e-5)


def test_the_crop_fits_the_hand(made: list[MadePicture]) -> None:
    for picture in made:
        view = view_of(annotation_of(picture), picture.rgb.shape[:2], 0.0)
        plan = plan_tar_item(annotation_of(picture), picture.rgb.shape[1], settings(), Augmentation(), view=view)
        limits = np.array(picture.rgb.shape[1::-1]) - 1
        assert ((picture.truth.keypoints_2d >= 0) & (picture.truth.keypoints_2d <= limits)).all()
        points = plan.keypoints_2d[:, :2]
        np.testing.assert_allclose(points.min(0) + points.max(0), 0, atol=1e-4)
        assert np.ptp(points, axis=0).max() == pytest.approx(1 / 1.6, abs=1e-3)


def test_inference_shows_and_tells_the_same(made: list[MadePicture]) -> None:
    """Pixels and tokens of a training crop and of the pipeline's, where landmarks are the true joints."""
    inputs = NetworkInputs(128, (128, 128), 1.6, takes_landmarks=True, upright=True)
    for picture in made:
        annotation, shape = annotation_of(picture), picture.rgb.shape[:2]
        view = view_of(annotation, shape, 0.0)
        plan = plan_tar_item(annotation, shape[1], settings(), Augmentation(), view=view)
        patch = patch_pixels.cut_patch(picture.rgb, None, plan, settings())
        expected, _ = patch_pixels.network_input(patch, plan, settings(), is_bgr=False)
        points = annotation["landmarks_2d"].astype(float)
        inside = np.clip(points[:, :2], 0, np.array(shape[::-1]) - 1)
        box = np.r_[inside.min(0), inside.max(0)]
        hands = HandBoxes(box[None], [picture.truth.is_right], [1.0], points[None], annotation["landmarks_3d"][None])
        views = Views.first(hands, np.array([shape[::-1]]), inputs)
        crops = inputs.crops([picture.rgb], np.zeros(1, int), views.boxes, hands.is_right, views.rotation)
        tokens = landmarks_in_crops(hands, crops)[0]
        # float32 corners of the affine: a thousandth of a pixel of the crop, which may round a pixel otherwise
        np.testing.assert_allclose(tokens, landmarks_of(annotation, plan, shape[1], 128), atol=5e-5)
        assert np.abs(crops.img[0] - expected).mean() < 0.01  # of values with a spread of 1


@pytest.mark.parametrize("bbox_shape", [(128, 128), (192, 256)])
def test_inference_shows_as_much_in_any_shape(made: list[MadePicture], bbox_shape: tuple[int, int]) -> None:
    """Side of the crop's square, px: a network of another shape widens upright boxes as it does others."""
    crop = replace(settings(), bbox_shape=bbox_shape)
    inputs = NetworkInputs(128, bbox_shape, 1.6, upright=True)
    for picture in made:
        annotation, (height, width) = annotation_of(picture), picture.rgb.shape[:2]
        plan = plan_tar_item(annotation, width, crop, Augmentation(), view=view_of(annotation, (height, width), 0.0))
        shown = 128 / np.sqrt(np.linalg.det(plan.matrix[:, :2]))
        points = annotation["landmarks_2d"][None].astype(float)
        box = np.r_[points[0, :, :2].min(0), points[0, :, :2].max(0)]
        hands = HandBoxes(box[None], [picture.truth.is_right], [1.0], points)
        views = Views.first(hands, np.array([[width, height]]), inputs)
        crops = inputs.crops([picture.rgb], np.zeros(1, int), views.boxes, hands.is_right, views.rotation)
        assert float(crops.box_size[0]) == pytest.approx(shown, rel=1e-4)


def test_views_end_at_the_edges_of_the_picture(made: list[MadePicture]) -> None:
    """A wide picture that cuts the hand: points beyond its lower edge count as on it, those beyond 256 px to the right do not."""
    annotation = annotation_of(made[0])
    points = np.asarray(annotation["keypoints_2d"], float)[:, :2]
    height = int(np.median(points[:, 1]))
    view = view_of(annotation, (height, 1000), 0.0)
    assert view is not None
    turn = turns_about_view(view.rotation)[:2, :2]
    seen = (np.clip(points, 0, (999, height - 1)) - view.center) @ turn
    np.testing.assert_allclose(np.ptp(seen, axis=0), (view.width, view.height), atol=1e-3)
    assert max(view.width, view.height) < np.ptp(points @ turn, axis=0).max()


def test_what_is_not_known_is_left_as_it_is(made: list[MadePicture]) -> None:
    joint_missing, elsewhere, no_wrist = (annotation_of(made[0]) for _ in range(3))
    joint_missing["keypoints_2d"] = np.array(joint_missing["keypoints_2d"])
    joint_missing["keypoints_2d"][7, 2] = 0
    assert view_of(joint_missing, (256, 256), 0.0) is None
    elsewhere["keypoints_2d"] = np.array(elsewhere["keypoints_2d"]) - [[900, 900, 0]]
    assert view_of(elsewhere, (256, 256), 0.0) is None
    no_wrist["landmarks_2d"][0] = np.nan  # then the true joints tell the direction
    view = view_of(no_wrist, (256, 256), 0.0)
    assert view is not None
    assert view.rotation == pytest.approx(float(hand_rotation(made[0].truth.keypoints_2d)), abs=1e-3)


@pytest.mark.parametrize("landmarks", [{"a": 1}, np.zeros(21), np.zeros((5, 3)), np.full((21, 3), np.inf)])
def test_wrong_landmarks_are_counted_and_left_out(made: list[MadePicture], landmarks: Any) -> None:
    annotation = {**made[0].annotation, "landmarks_2d": landmarks}
    skipped = SkipCounts()
    crop = settings()
    picture = cv2.imencode(".jpg", made[0].rgb)[1].tobytes()
    hand = Hand(Picture(TarSample("0", "made", {"jpg": picture}), skipped), annotation, 0, 1)
    assert hand.item(PatchCutter(crop)) is None
    assert skipped.totals() == {"wrong annotation": 1}


def test_draws_without_an_upright_network_are_told(caplog: pytest.LogCaptureFixture) -> None:
    model = {"IMAGE_SIZE": 128}
    CropSettings.from_cfg(ConfigNode({"MODEL": model, "DATASETS": {"CONFIG": {"UPRIGHT_RATE": 0.5}}}), train=True)
    assert "no effect without MODEL.UPRIGHT" in caplog.text
    with pytest.raises(ValueError, match="UPRIGHT_RATE must be in"):  # before a single hand is skipped for it
        settings(train=True, UPRIGHT_RATE=1.5)


def items(picture: MadePicture, crop: CropSettings, count: int) -> list[dict[str, Any]]:
    """The same hand drawn `count` times, as a training run would."""
    sample = TarSample("0", "made", dict(encoded(picture, 95).members))
    filters = AnnotationFilters()
    drawn = []
    for seed in range(count):
        (hand,) = hands_of_sample(sample, filters, SkipCounts(), lambda seed=seed: seed)  # type: ignore[misc]
        item = hand.item(PatchCutter(crop))
        assert item is not None
        drawn.append(item)
    return drawn


def test_training_draws_upright_and_other_crops(made: list[MadePicture]) -> None:
    picture = made[0]
    crop = settings(train=True, UPRIGHT_RATE=0.5, UPRIGHT_JITTER=5)
    directions = np.array([hand_rotation(item["keypoints_2d"][:, :2]) for item in items(picture, crop, 40)])
    own = hand_rotation(picture.truth.keypoints_2d)
    upright, as_it_is = np.abs(directions) < 10.1, np.abs(directions - own) < 0.1
    assert (upright | as_it_is).all()
    assert 10 < upright.sum() < 30
    plain = [item["keypoints_2d"] for item in items(picture, settings(), 2)]  # validation: exactly upright, always
    assert abs(float(hand_rotation(plain[0][:, :2]))) < 0.1
    np.testing.assert_array_equal(plain[0], plain[1])
