"""The network inside the pipeline gives what the network alone gives, under a real camera."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from hamer.crops import hand_crops
from hamer.geometry.boxes import boxes_from_keypoints
from hamer.geometry.cameras import cam_crop_to_full, project_with_camera
from hamer.geometry.mirroring import mirror_axis_angle, mirror_points
from hamer.geometry.rotations import rotmat_to_aa
from hamer.hand_models import HandModel
from hamer.models import HamerConfig, ViTConfig, build_hamer
from hamer.models.config import DecoderConfig
from hamer.pipeline import HandReconstructor, NetworkEstimator
from hamer.pipeline.flat_hands import FlatHands
from hamer.pipeline.views import Views
from hamer.structures import Camera, HandBoxes

from .conftest import CAMERA, KnownHands, boxes_of, joints_of

BOXES = np.array([[100, 80, 260, 270], [300, 60, 420, 190], [380, 200, 600, 460]], np.float32)
SIDES = np.array([True, False, True])


@pytest.fixture(scope="module")
def network(open_hand: HandModel) -> Any:
    """A small network with random weights around the open hand, whose read-outs are damped so that hands stay hands.

    Its camera puts them far off, where the perspective of two cameras differs by less than the tolerances below.
    """
    torch.manual_seed(0)
    config = HamerConfig(ViTConfig(96, 2, 3), DecoderConfig(depth=2, context_dim=96))
    model = build_hamer(config, open_hand.arrays)
    for name, value in model.mano_head.named_parameters():
        if name.startswith("dec"):
            torch.nn.init.normal_(value, std=0.01)
    with torch.no_grad():
        model.mano_head.init_cam.copy_(torch.tensor([[0.9, 0.0, 0.0]]))
        model.mano_head.deccam.bias.copy_(torch.tensor([0.0, 0.05, -0.03]))
    return model.eval()


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)


def run(network: Any, picture: np.ndarray, found: HandBoxes, camera: Camera, **options: Any) -> list:
    estimator = NetworkEstimator(network, **options)
    return HandReconstructor(KnownHands(found), estimator)(picture, camera=camera).hands


def test_parameters_and_projection_are_the_networks(network: Any, picture: np.ndarray) -> None:
    crops = hand_crops(picture, BOXES, SIDES, rescale_factor=2.0)
    with torch.inference_mode():
        output = network(crops.to_batch())
    hands = run(network, picture, HandBoxes(BOXES, SIDES, np.ones(3)), CAMERA, batch_size=2)
    in_picture = crops.to_picture((output["pred_keypoints_2d"].numpy() + 0.5) * 256)
    pose = rotmat_to_aa(output["pred_mano_params"]["hand_pose"]).numpy()
    assert len(hands) == 3
    for i, hand in enumerate(hands):
        expected = pose[i] if SIDES[i] else mirror_axis_angle(pose[i])
        np.testing.assert_allclose(
            hand.parameters.hand_pose, expected.reshape(45), atol=1e-5
        )  # float32, other batch size
        # Weak perspective in the crop against true perspective, of a hand far from the axis: they differ by its depth over
        # its distance, and by how much it is seen from the side.
        size = np.ptp(in_picture[i], axis=0).max()
        assert np.linalg.norm(hand.keypoints_2d - in_picture[i], axis=-1).mean() / size < 0.1
        np.testing.assert_allclose(project_with_camera(hand.joints, CAMERA), hand.keypoints_2d, atol=1e-2)


def test_under_the_originals_camera_hands_stand_where_the_original_puts_them(network: Any, picture: np.ndarray) -> None:
    crops = hand_crops(picture, BOXES, SIDES, rescale_factor=2.0)
    batch = crops.to_batch()
    with torch.inference_mode():
        output = network(batch)
    focal = 5000 / 256 * 640
    cam = output["pred_cam"] * torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, 1.0]])
    expected = cam_crop_to_full(cam, batch["box_center"], batch["box_size"], batch["img_size"], focal).numpy()
    hands = run(network, picture, HandBoxes(BOXES, SIDES, np.ones(3)), Camera(focal, focal, 320, 240))
    for hand, translation in zip(hands, expected, strict=True):
        # from so far away perspective is nearly weak perspective: a hundredth of the distance, half a centimetre across
        assert hand.camera_translation[2] == pytest.approx(translation[2], rel=0.01)
        np.testing.assert_allclose(hand.camera_translation[:2], translation[:2], atol=0.005)


def test_a_left_hand_is_the_mirror_image_of_the_same_right_hand(network: Any, picture: np.ndarray) -> None:
    """Mirroring the picture about its centre turns a left hand into a right one; the results must mirror too."""
    width, camera = picture.shape[1], Camera(600, 600, 319.5, 240)
    mirrored = BOXES[:1].copy()
    mirrored[:, [0, 2]] = width - 1 - BOXES[:1][:, [2, 0]]
    (left,) = run(network, picture, HandBoxes(BOXES[:1], [False], [1.0]), camera)
    (right,) = run(network, picture[:, ::-1].copy(), HandBoxes(mirrored, [True], [1.0]), camera)
    np.testing.assert_allclose(
        left.vertices, mirror_points(right.vertices), atol=2e-4
    )  # crops differ by rounding at 1/32 px


def test_batches_change_nothing(network: Any, picture: np.ndarray) -> None:
    found = HandBoxes(BOXES, SIDES, np.ones(3))
    one, all_ = (run(network, picture, found, CAMERA, batch_size=n) for n in (1, 8))
    for a, b in zip(one, all_, strict=True):
        np.testing.assert_allclose(a.vertices, b.vertices, atol=1e-4)  # the order of float32 sums differs


def test_refinement_follows_the_keypoints(network: Any, picture: np.ndarray, open_hand: HandModel) -> None:
    truth = joints_of(open_hand, is_right=True, position=(0.0, 0.0, 0.7))
    found = boxes_of([truth], [True])
    assert found.keypoints_2d is not None
    plain, refined = (run(network, picture, found, CAMERA, refine=r)[0] for r in (False, True))
    target = found.keypoints_2d[0, :, :2]
    before, after = (np.linalg.norm(h.keypoints_2d - target, axis=-1).mean() for h in (plain, refined))
    assert after < 0.5 * before


def test_float32_is_exact_on_every_device(network: Any, picture: np.ndarray) -> None:
    allowed = []
    hook = network.register_forward_hook(lambda *_: allowed.append(torch.backends.cudnn.allow_tf32))
    run(network, picture, HandBoxes(BOXES, SIDES, np.ones(3)), CAMERA)
    hook.remove()
    assert allowed == [False]


def test_a_box_without_a_crop_costs_its_hand_and_not_the_picture(network: Any, picture: np.ndarray) -> None:
    """Keypoints of a small far person can lie in one column of the heatmap, or in one cell."""
    line, point, far = [50, 50, 50, 90], [50, 50, 50, 50], [1e7, 0, 1.0001e7, 50]
    boxes = np.array([BOXES[0], line, point, far, [np.nan] * 4, BOXES[2]], np.float32)
    found = HandBoxes(boxes, np.ones(6, bool), np.ones(6))
    result = HandReconstructor(KnownHands(found), NetworkEstimator(network))(picture, camera=CAMERA)
    np.testing.assert_array_equal([hand.box for hand in result.hands], boxes[[0, 1, 5]])
    assert result.notes == ["3 of 6 hands found could not be estimated and were left out"]
    alone = run(network, picture, HandBoxes([line], [True], [1.0]), CAMERA)
    np.testing.assert_allclose(alone[0].vertices, result.hands[1].vertices, atol=1e-5)  # noise of float32
    assert run(network, picture, HandBoxes([point], [True], [1.0]), CAMERA) == []


def test_a_hand_whose_joints_the_detector_did_not_find_is_looked_at_three_times(
    network: Any, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its box is rough: the first view is wider, and each further one goes around the joints that the network saw before."""
    network = copy.deepcopy(network)
    with torch.no_grad():  # it puts hands at the upper edges of crops: to their middles
        network.mano_head.deccam.bias += torch.tensor([3.4, -0.14, 0.7])
    points = np.tile(np.append(BOXES[0].reshape(2, 2).mean(0), 0.9), (3, 21, 1)).astype(np.float32)
    points[1] = np.nan
    found = HandBoxes(BOXES, SIDES, np.ones(3), points)
    once = run(network, picture, HandBoxes(BOXES, SIDES, np.ones(3)), CAMERA)
    middle, half = BOXES[1].reshape(2, 2).mean(0), np.ptp(BOXES[1].reshape(2, 2), axis=0) / 2
    views = [np.concatenate([middle - 1.25 * half, middle + 1.25 * half])[None]]
    for _ in range(2):
        crops = hand_crops(picture, views[-1], SIDES[1:2], rescale_factor=2.0)
        with torch.inference_mode():
            seen = crops.to_picture((network(crops.to_batch())["pred_keypoints_2d"].numpy() + 0.5) * 256)
        views.append(boxes_from_keypoints(seen))
    seen_in: list[np.ndarray] = []
    closer = Views.closer

    def noted(*given: Any) -> Views:
        views = closer(*given)
        seen_in.append(views.boxes)
        return views

    monkeypatch.setattr(Views, "closer", noted)
    looked = run(network, picture, found, CAMERA)
    # A thousandth of a pixel grows to a tenth: random weights, and crops whose pixels are read at 1/32 px.
    np.testing.assert_allclose(np.stack(seen_in), views[1:], atol=0.5)
    last = BOXES.copy()
    last[1] = seen_in[-1]
    again = run(network, picture, HandBoxes(last, SIDES, np.ones(3)), CAMERA)
    for hand, expected in zip(looked, (once[0], again[1], once[2]), strict=True):
        np.testing.assert_allclose(hand.keypoints_2d, expected.keypoints_2d, atol=0.05)  # float32 boxes, 1/32 px
    assert np.abs(again[1].keypoints_2d - once[1].keypoints_2d).max() > 1
    assert np.abs(views[2] - views[1]).max() > 1
    np.testing.assert_array_equal(looked[1].box, BOXES[1])  # what the detector said


@pytest.mark.parametrize(
    ("seen", "is_believed"),
    [
        ([110, 90, 240, 250], True), ([np.nan] * 4, False), ([0, 0, 600, 470], False), ([170, 170, 190, 190], False),
        ([400, 300, 500, 440], False),
    ],
)  # fmt: skip
def test_a_second_look_goes_only_where_the_hand_may_be(network: Any, seen: list[float], is_believed: bool) -> None:
    flat = FlatHands.of([CAMERA], [HandBoxes(BOXES[:1], SIDES[:1], np.ones(1), np.full((1, 21, 3), np.nan))])
    assert flat.is_rough.tolist() == [True]
    corners = torch.tensor(seen, dtype=torch.float32).reshape(2, 2)
    points = torch.lerp(corners[0], corners[1], torch.linspace(0, 1, 21)[:, None])[None].numpy()
    views = Views(flat.hands.boxes, np.full(1, np.nan))
    closer = views.closer(points, np.array([[640, 480]]), NetworkEstimator(network).inputs)
    np.testing.assert_allclose(closer.boxes[0], seen if is_believed else BOXES[0], atol=1e-4)
