"""From pictures to `Reconstruction`s, with a detector that knows the answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hamer.errors import PictureError
from hamer.hand_models import HandModel
from hamer.pipeline import HandReconstructor, batches
from hamer.structures import Camera, HandBoxes

from .conftest import CAMERA, boxes_of, joints_of

PICTURE = np.full((480, 640, 3), 128, np.uint8)
Make = Callable[[HandBoxes], HandReconstructor]


def test_both_hands_come_back_where_they_are(open_hand: HandModel, make_reconstructor: Make) -> None:
    truth = [
        joints_of(open_hand, is_right=True, position=(0.1, 0.02, 0.6)),
        joints_of(open_hand, is_right=False, position=(-0.12, 0.0, 0.8)),
    ]
    result = make_reconstructor(boxes_of(truth, [True, False]))(PICTURE, camera=CAMERA)
    assert [h.is_right for h in result.hands] == [True, False]
    assert result.hand_model == "open"
    assert result.camera is CAMERA
    for hand, joints in zip(result.hands, truth, strict=True):
        # the fit's priors pull a little at an exact hand: 3 mm in shape, 3 cm in depth at 60 to 80 cm
        assert np.abs(hand.joints - joints)[:, :2].max() < 0.008
        assert abs((hand.joints - joints)[:, 2].mean()) < 0.03
        assert hand.vertices.shape == (open_hand.n_vertices, 3)


@pytest.mark.parametrize("is_right", [True, False])
def test_parameters_give_back_the_mesh(open_hand: HandModel, make_reconstructor: Make, is_right: bool) -> None:
    """docs/conventions.md: vertices = model(parameters) + camera_translation, for a true left hand by the mirrored model."""
    import torch

    from hamer.geometry.mirroring import mirror_axis_angle, mirror_points

    truth = joints_of(open_hand, is_right=is_right, position=(0.0, 0.0, 0.7))
    hand = make_reconstructor(boxes_of([truth], [is_right]))(PICTURE, camera=CAMERA).hands[0]
    p = hand.parameters
    orient, pose = p.global_orient, p.hand_pose.reshape(15, 3)
    if not is_right:
        orient, pose = mirror_axis_angle(orient), mirror_axis_angle(pose)
    output = open_hand.forward_axis_angle(
        torch.from_numpy(orient), torch.from_numpy(pose).flatten(), torch.from_numpy(p.betas)
    )
    vertices = output.vertices.numpy() if is_right else mirror_points(output.vertices.numpy())
    np.testing.assert_allclose(
        vertices + hand.camera_translation, hand.vertices, atol=2e-6
    )  # float32 through axis-angle


def test_a_distorting_lens_is_taken_into_account(open_hand: HandModel, make_reconstructor: Make) -> None:
    lens = Camera(600, 600, 320, 240, (-0.25, 0.08, 0.001, -0.001))
    truth = joints_of(open_hand, is_right=True, position=(0.22, 0.12, 0.6))
    hand = make_reconstructor(boxes_of([truth], [True], lens))(PICTURE, camera=lens).hands[0]
    points = boxes_of([truth], [True], lens).keypoints_2d
    assert points is not None
    assert np.abs(hand.keypoints_2d - points[0, :, :2]).max() < 4.0  # px, of a hand 150 px large
    assert np.abs(hand.joints.mean(0) - truth.mean(0))[:2].max() < 0.008


def test_without_a_camera_the_depth_is_plausible(open_hand: HandModel, make_reconstructor: Make) -> None:
    truth = joints_of(open_hand, is_right=True, position=(0.0, 0.0, 0.6))
    result = make_reconstructor(boxes_of([truth], [True]))(PICTURE)
    assert result.camera.source == "assumed"
    assert 0.4 < result.hands[0].camera_translation[2] < 1.6


def test_no_hands_is_a_result(make_reconstructor: Make) -> None:
    assert make_reconstructor(HandBoxes.empty())(PICTURE).hands == []


def test_a_hand_without_keypoints_is_left_out_and_the_others_stay(
    open_hand: HandModel, make_reconstructor: Make
) -> None:
    truth = joints_of(open_hand, is_right=True, position=(0.0, 0.0, 0.6))
    found = boxes_of([truth, truth], [True, True])
    assert found.keypoints_2d is not None
    found.keypoints_2d[0] = np.nan
    result = make_reconstructor(found)(PICTURE)
    assert len(result.hands) == 1
    assert np.isfinite(result.hands[0].vertices).all()
    assert result.notes == ["1 of 2 hands found could not be estimated and were left out"]


def test_boxes_without_keypoints_say_what_to_do(make_reconstructor: Make) -> None:
    with pytest.raises(ValueError, match="fitting needs keypoints_2d"):
        make_reconstructor(HandBoxes([[0, 0, 9, 9]], [True], [1.0]))(PICTURE)


@pytest.mark.parametrize(
    ("boxes", "is_right", "message"),
    [
        ([[0, 0, np.nan, 9]], None, "finite"),
        ([[0, 0, 9, 9]], [True, False], "one entry a box"),
        ([[1, 2, 3]], None, r"\(N, 4\) xyxy"),
        ([[9, 9, 5, 5]], [True], "x1 > x0"),
        ([[5000, 5000, 5100, 5100]], [True], "overlap the picture of 640 x 480"),
        ([[-9, -9, 0, 0]], [True], "overlap the picture"),
        ([[0, 0, 9, 9]], ["left"], "True .right. or False .left."),
        ([[0, 0, 9, 9]], [None], "True .right. or False .left."),
        (None, [True], "without boxes"),
    ],
)
def test_wrong_boxes_are_refused(make_reconstructor: Make, boxes: list, is_right: list | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_reconstructor(HandBoxes.empty())(PICTURE, boxes=boxes, is_right=is_right)


class TestManyPictures:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> list[Path]:
        for i in range(5):
            Image.fromarray(PICTURE).save(tmp_path / f"{i}.png")
        (tmp_path / "1.png").write_bytes(b"broken")
        Image.fromarray(np.zeros_like(PICTURE)).save(tmp_path / "3.png")
        return [tmp_path / f"{i}.png" for i in range(5)]

    @pytest.mark.parametrize("batch_size", [1, 2, 8])
    def test_bad_ones_are_reported_and_stop_nothing(
        self, open_hand: HandModel, make_reconstructor: Make, folder: list[Path], batch_size: int
    ) -> None:
        truth = joints_of(open_hand, is_right=True, position=(0.0, 0.0, 0.6))
        failed: dict[str, Exception] = {}
        results = make_reconstructor(boxes_of([truth], [True])).images(
            folder, batch_size=batch_size, on_error=lambda source, error: failed.update({Path(str(source)).name: error})
        )
        assert [Path(str(r.path)).name for r in results] == ["0.png", "2.png", "4.png"]
        assert set(failed) == {"1.png", "3.png"}
        assert isinstance(failed["1.png"], PictureError)
        assert "black" in str(failed["3.png"])

    def test_without_a_handler_the_first_error_is_raised(self, make_reconstructor: Make, folder: list[Path]) -> None:
        with pytest.raises(PictureError, match=r"1\.png"):
            list(make_reconstructor(HandBoxes.empty()).images(folder))

    def test_large_pictures_come_in_smaller_batches(
        self, make_reconstructor: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(batches, "MAX_BATCH_PIXELS", 1000)
        sizes = [(10, 40), (10, 50), (10, 20), (100, 100), (1, 1), (1, 1), (1, 1), (1, 1)]
        model = make_reconstructor(HandBoxes.empty())
        detector, seen = model.detector, []

        def watched(images: list[np.ndarray]) -> list[HandBoxes]:
            seen.append([image.shape[:2] for image in images])
            return detector(images)

        model.detector = watched
        assert len(list(model.images([np.ones((*size, 3), np.uint8) for size in sizes], batch_size=3))) == len(sizes)
        assert seen == [sizes[:2], sizes[2:3], sizes[3:4], sizes[4:7], sizes[7:]]

    def test_batches_change_nothing(self, open_hand: HandModel, make_reconstructor: Make, folder: list[Path]) -> None:
        truth = [joints_of(open_hand, is_right=s, position=(0.1 * s, 0.0, 0.6)) for s in (True, False)]
        model = make_reconstructor(boxes_of(truth, [True, False]))
        good = [folder[0], folder[2], folder[4]]
        one, many = (list(model.images(good, batch_size=n)) for n in (1, 3))
        for a, b in zip(one, many, strict=True):
            for x, y in zip(a.hands, b.hands, strict=True):
                np.testing.assert_allclose(x.vertices, y.vertices, atol=1e-4)  # the order of float32 sums differs
