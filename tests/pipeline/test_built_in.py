"""The built-in way from end to end, with a tiny network of random weights in the place of the one that ships."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hamer.weights
from hamer.checkpoints.hand_files import load_open_hand
from hamer.checkpoints.weights import read_weights, write_safetensors
from hamer.crops import hand_crops
from hamer.errors import AssetError, MissingExtraError, WeightsError
from hamer.hand_models import HandModel, HandModelArrays
from hamer.models import HamerConfig, ViTConfig, build_hamer
from hamer.models.config import DecoderConfig, DenseConfig, LandmarkConfig
from hamer.pipeline import FittingEstimator, HandReconstructor, NetworkEstimator
from hamer.pipeline.network_inputs import NetworkInputs, landmarks_in_crops
from hamer.structures import HandBoxes

from .conftest import CAMERA, KnownHands, boxes_of, joints_of

PICTURE = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)


def tiny_config() -> HamerConfig:
    """A conv stem, square crops of 64 px and landmark tokens, as the network that ships has them."""
    backbone = ViTConfig(32, 1, 2, image_size=(64, 64), stem=(8, 8, 16, 32), patch_padding=0)
    return HamerConfig(backbone, DecoderConfig(depth=1, context_dim=32), image_size=64, landmarks=LandmarkConfig(1, 2))


def tiny_network(config: HamerConfig | Mapping[str, Any] | None = None) -> Any:
    torch.manual_seed(0)
    network = build_hamer(config or tiny_config(), load_open_hand())
    with torch.no_grad():
        for name, value in network.mano_head.named_parameters():
            if name.startswith("dec"):
                torch.nn.init.normal_(value, std=0.01)
        network.mano_head.deccam.bias.copy_(torch.tensor([0.0, 0.05, -0.03]))
    return network.eval()


def write(network: Any, path: Path) -> Path:
    """As `hamer convert` leaves a network around the open hand: half precision, no hand, its name in the configuration."""
    cfg = network.cfg.to_dict()
    cfg["MODEL"]["RESCALE_FACTOR"] = 1.6
    cfg["MANO"]["MODEL_PATH"] = "open"
    tensors = {k: v.half() for k, v in network.state_dict().items() if not k.startswith("mano.")}
    return write_safetensors(path, tensors, config=cfg)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(hamer.weights, "FOLDER", tmp_path)
    return write(tiny_network(), tmp_path / hamer.weights.FILE)


@pytest.fixture
def not_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hamer.weights, "FOLDER", tmp_path / "empty")


@pytest.fixture
def hands(open_hand: HandModel) -> HandBoxes:
    joints = [joints_of(open_hand, is_right=s, position=(0.1 if s else -0.1, 0, 0.7)) for s in (False, True)]
    return boxes_of(joints, [False, True])


def errors(result: Any, hands: HandBoxes) -> np.ndarray:
    assert hands.keypoints_2d is not None
    points = np.stack([h.keypoints_2d for h in result.hands])
    return np.linalg.norm(points - hands.keypoints_2d[..., :2], axis=-1).mean(-1)


def test_from_pretrained_takes_the_network_and_refines(shipped: Path, hands: HandBoxes) -> None:
    model = HandReconstructor.from_pretrained(detector=KnownHands(hands))
    assert isinstance(model.estimator, NetworkEstimator)
    assert model.estimator.inputs == NetworkInputs(64, (64, 64), 1.6, takes_landmarks=True)
    result = model(PICTURE, camera=CAMERA)
    assert result.model == "built-in network + keypoint refinement (open hand)"
    assert result.hand_model == "open"
    assert [h.is_right for h in result.hands] == [False, True]
    assert (errors(result, hands) < 8).all()  # px of hands of 150: random weights are pulled to the exact keypoints
    plain = HandReconstructor.from_pretrained(detector=KnownHands(hands), refine=False)(PICTURE, camera=CAMERA)
    assert plain.model == "built-in network (open hand)"
    assert (errors(plain, hands) > 2 * errors(result, hands)).all()


def test_fit_alone_by_name_and_where_nothing_ships(not_shipped: None, hands: HandBoxes) -> None:
    for weights in ("fit", None):
        model = HandReconstructor.from_pretrained(weights, detector=KnownHands(hands))
        assert isinstance(model.estimator, FittingEstimator)
        assert model(PICTURE, camera=CAMERA).model == "keypoint fit (open hand)"
    with pytest.raises(AssetError, match=r"built-in network is missing.*weights='fit'"):
        HandReconstructor.from_pretrained("built-in", detector=KnownHands(hands))


@pytest.mark.usefixtures("shipped")
def test_fit_and_built_in_can_be_asked_for(hands: HandBoxes) -> None:
    fit, network = (HandReconstructor.from_pretrained(w, detector=KnownHands(hands)) for w in ("fit", "built-in"))
    assert fit.estimator.name == "keypoint fit (open hand)"
    assert network.estimator.name == "built-in network + keypoint refinement (open hand)"


def test_a_damaged_file_is_named(shipped: Path, hands: HandBoxes) -> None:
    shipped.write_bytes(shipped.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=shipped.name):
        HandReconstructor.from_pretrained(detector=KnownHands(hands))


def test_the_hand_comes_from_the_package(shipped: Path) -> None:
    assert not any(name.startswith("mano.") for name in read_weights(shipped).tensors)
    estimator = HandReconstructor.from_pretrained(detector=KnownHands(HandBoxes.empty())).estimator
    np.testing.assert_array_equal(estimator.hand_model.arrays.v_template, load_open_hand().v_template)


def test_another_hand_takes_the_pose_over_and_its_own_shape(
    shipped: Path, hands: HandBoxes, tmp_path: Path, open_hand: HandModel
) -> None:
    """As MANO would: another mesh, the same rest axes. Here the open hand a tenth larger, in a file of MANO's names."""
    from hamer.checkpoints.hand_files import write_hand_npz

    arrays = load_open_hand()
    grown = {k: getattr(arrays, k) * 1.1 for k in ("v_template", "shapedirs", "posedirs")}
    path = write_hand_npz(tmp_path / "larger.npz", HandModelArrays(**{**vars(arrays), **grown}))
    model = HandReconstructor.from_pretrained(detector=KnownHands(hands), hand_model=path)
    result = model(PICTURE, camera=CAMERA)
    assert len(result.hands) == 2
    assert (errors(result, hands) < 8).all()
    larger = HandModel(HandModelArrays(**{**vars(arrays), **grown}))
    right = result.hands[1].parameters
    output = larger.forward_axis_angle(
        *(torch.from_numpy(v) for v in (right.global_orient, right.hand_pose, right.betas))
    )
    vertices = output.vertices.numpy() + result.hands[1].camera_translation
    np.testing.assert_allclose(vertices, result.hands[1].vertices, atol=2e-6)  # float32 through axis-angle
    plain, other = (
        HandReconstructor.from_pretrained(detector=KnownHands(hands), refine=False, hand_model=h)(
            PICTURE, camera=CAMERA
        )
        for h in ("open", path)
    )
    for a, b in zip(plain.hands, other.hands, strict=True):
        np.testing.assert_allclose(a.parameters.hand_pose, b.parameters.hand_pose, atol=1e-6)  # the same numbers
        assert not b.parameters.betas.any()


@pytest.mark.usefixtures("shipped")
def test_hands_do_not_depend_on_their_batch(hands: HandBoxes, open_hand: HandModel) -> None:
    """With landmarks, without 3D guess, and without any keypoints, in one chunk and alone."""
    assert hands.keypoints_2d is not None
    assert hands.keypoints_3d is not None
    kinds = [hands[[1]], HandBoxes(hands.boxes[[1]], [True], [0.9], hands.keypoints_2d[[1]])]
    kinds.append(HandBoxes(hands.boxes[[1]], [True], [0.9]))
    model = HandReconstructor.from_pretrained(detector=KnownHands(hands), batch_size=2)
    both = model.estimator([_picture()] * 3, [CAMERA] * 3, kinds)
    for kind, (together,) in zip(kinds, both, strict=True):
        ((alone,),) = model.estimator([_picture()], [CAMERA], [kind])
        np.testing.assert_allclose(together.vertices, alone.vertices, atol=1e-4)  # the order of float32 sums differs


def _picture() -> Any:
    from hamer.pipeline import read_picture

    return read_picture(PICTURE)


@pytest.mark.usefixtures("shipped")
def test_numbers_that_are_not_finite_fall_back_to_the_fit(hands: HandBoxes, monkeypatch: pytest.MonkeyPatch) -> None:
    model = HandReconstructor.from_pretrained(detector=KnownHands(hands))
    assert isinstance(model.estimator, NetworkEstimator)
    network = model.estimator._source.get()

    def spoil(_module: Any, _inputs: Any, output: dict[str, Any]) -> dict[str, Any]:
        output["pred_mano_params"]["betas"][0] = torch.nan
        output["pred_keypoints_3d"][0] = torch.nan
        return output

    handle = network.register_forward_hook(spoil)
    spoiled = model(PICTURE, camera=CAMERA)
    handle.remove()
    fitted = HandReconstructor.from_pretrained("fit", detector=KnownHands(hands))(PICTURE, camera=CAMERA)
    whole = model(PICTURE, camera=CAMERA)
    np.testing.assert_allclose(spoiled.hands[0].vertices, fitted.hands[0].vertices, atol=1e-4)  # batches differ
    np.testing.assert_allclose(spoiled.hands[1].vertices, whole.hands[1].vertices, atol=1e-4)


@pytest.mark.usefixtures("shipped")
def test_low_memory_loads_the_network_when_its_turn_comes(hands: HandBoxes) -> None:
    from .test_low_memory import Scales, TwoStages

    scales = Scales()
    model = HandReconstructor.from_pretrained(detector=TwoStages(hands, scales), low_memory=True)
    assert isinstance(model.estimator, NetworkEstimator)
    source = model.estimator._source
    assert source._network is None
    result = model(PICTURE, camera=CAMERA)
    assert source._network is None
    assert scales.most == 1
    plain = HandReconstructor.from_pretrained(detector=KnownHands(hands))(PICTURE, camera=CAMERA)
    for ours, theirs in zip(result.hands, plain.hands, strict=True):
        np.testing.assert_allclose(ours.vertices, theirs.vertices, atol=1e-6)  # the same numbers


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_lower_precision_stays_near(hands: HandBoxes, precision: Any) -> None:
    reference, low = (
        HandReconstructor.from_pretrained(detector=KnownHands(hands), precision=p, refine=False, device="cpu")
        for p in ("float32", precision)
    )
    for a, b in zip(reference(PICTURE, camera=CAMERA).hands, low(PICTURE, camera=CAMERA).hands, strict=True):
        # eight bits of a random network's one block: joint angles to a hundredth of a radian
        np.testing.assert_allclose(a.parameters.hand_pose, b.parameters.hand_pose, atol=0.01)


class Landmarker(KnownHands):
    """A detector that can look into given boxes, or cannot."""

    def __init__(self, hands: HandBoxes, error: Exception | None = None) -> None:
        super().__init__(hands)
        self.error, self.asked = error, 0

    def landmarks_in_boxes(self, _image: np.ndarray, boxes: np.ndarray, _sides: Any) -> HandBoxes:
        self.asked += 1
        if self.error:
            raise self.error
        return HandBoxes(
            boxes, self.hands.is_right, self.hands.scores, self.hands.keypoints_2d, self.hands.keypoints_3d
        )


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("refine", [True, False])
def test_given_boxes_are_looked_into_for_landmarks(hands: HandBoxes, refine: bool) -> None:
    detector = Landmarker(hands)
    model = HandReconstructor.from_pretrained(detector=detector, refine=refine)
    given = model(PICTURE, boxes=hands.boxes, is_right=hands.is_right, camera=CAMERA)
    found = model(PICTURE, camera=CAMERA)
    assert detector.asked == 1
    np.testing.assert_allclose(given.hands[0].vertices, found.hands[0].vertices, atol=1e-5)  # the same numbers


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("error", [AssetError("no landmark model"), MissingExtraError("no runtime")])
def test_without_a_landmark_model_given_boxes_go_by_the_picture(
    hands: HandBoxes, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    model = HandReconstructor.from_pretrained(detector=Landmarker(hands, error))
    result = model(PICTURE, boxes=hands.boxes, is_right=hands.is_right, camera=CAMERA)
    assert len(result.hands) == 2
    assert "without landmarks" in caplog.text
    with pytest.raises(type(error)):  # nobody says the sides
        model(PICTURE, boxes=hands.boxes, camera=CAMERA)


class TestLandmarksInCrops:
    def test_a_left_hand_is_the_mirror_image_of_a_right_one(self, hands: HandBoxes, open_hand: HandModel) -> None:
        """Mirrored pictures give the same tokens: the same crop shows the same points."""
        assert hands.keypoints_2d is not None
        assert hands.keypoints_3d is not None
        width = PICTURE.shape[1]
        points, guess, boxes = hands.keypoints_2d.copy(), hands.keypoints_3d.copy(), hands.boxes.copy()
        points[..., 0] = width - 1 - points[..., 0]
        guess[..., 0] *= -1
        boxes[:, [0, 2]] = width - 1 - boxes[:, [2, 0]]
        mirrored = HandBoxes(boxes, ~hands.is_right, hands.scores, points, guess)
        one = landmarks_in_crops(hands, hand_crops(PICTURE, hands.boxes, hands.is_right))
        other = landmarks_in_crops(
            mirrored, hand_crops(np.ascontiguousarray(PICTURE[:, ::-1]), boxes, mirrored.is_right)
        )
        np.testing.assert_allclose(one, other, atol=1e-5)  # float32 of boxes and points in px
        assert np.abs(one[..., :2]).max() < 0.5  # the joints lie in the crop
        assert (one[..., 6] == 1).all()

    @pytest.mark.parametrize("size", [64, 256])
    def test_they_are_those_of_the_training_items(self, hands: HandBoxes, size: int) -> None:
        """The labels that a network learns from, and what the pipeline feeds it, are the same numbers."""
        from hamer.crops.augmentation import Augmentation
        from hamer.crops.windows import crop_windows
        from hamer.datasets.example import Subject, plan_example
        from hamer.datasets.extra_labels import landmarks_of

        assert hands.keypoints_2d is not None
        assert hands.keypoints_3d is not None
        rng = np.random.default_rng(1)
        hands.keypoints_2d[..., 2] = rng.uniform(0.3, 1, (2, 21))
        hands.keypoints_2d[1, 4, 2] = 0  # one point is not known
        hands.keypoints_3d[0, 7] = np.nan  # another's depth is not
        inputs = NetworkInputs(size, (size, size), 1.6, takes_landmarks=True)
        crops = inputs.crops([PICTURE], np.zeros(2, int), hands.boxes, hands.is_right)
        tokens = landmarks_in_crops(hands, crops)
        center, side = crop_windows(hands.boxes, rescale_factor=1.6, bbox_shape=(size, size))
        for row in range(2):
            annotation = {"landmarks_2d": hands.keypoints_2d[row], "landmarks_3d": hands.keypoints_3d[row]}
            subject = Subject(
                center=tuple(center[row].astype(float)), width=float(side[row]), height=float(side[row]),
                keypoints_2d=hands.keypoints_2d[row], keypoints_3d=np.zeros((21, 4), np.float32),
                mano_params=_resting(), is_right=bool(hands.is_right[row]),
            )  # fmt: skip
            plan = plan_example(subject, PICTURE.shape[1], (size, size), Augmentation(), flip_permutation=range(21))
            expected = landmarks_of(annotation, plan, PICTURE.shape[1], size)
            # float32 corners of the affine: a thousandth of a pixel of the crop
            np.testing.assert_allclose(tokens[row], expected, atol=2e-5)
        assert not tokens[1, 4].any()

    def test_unknown_points_are_zero(self, hands: HandBoxes) -> None:
        assert hands.keypoints_2d is not None
        assert hands.keypoints_3d is not None
        crops = hand_crops(PICTURE, hands.boxes, hands.is_right)
        hands.keypoints_2d[0, 3] = np.nan
        hands.keypoints_3d[0, 5] = np.nan
        tokens = landmarks_in_crops(hands, crops)
        assert np.flatnonzero(tokens[0, :, 6] == 0).tolist() == [3]
        assert not tokens[0, 3].any()
        assert not tokens[0, 5, 3:6].any()
        assert tokens[0, 5, :2].all()
        flat = HandBoxes(hands.boxes, hands.is_right, hands.scores, hands.keypoints_2d)
        np.testing.assert_array_equal(landmarks_in_crops(flat, crops)[..., [0, 1, 2, 6]], tokens[..., [0, 1, 2, 6]])
        assert not landmarks_in_crops(flat, crops)[..., 3:6].any()
        assert not landmarks_in_crops(HandBoxes(hands.boxes, hands.is_right, hands.scores), crops).any()
        hands.keypoints_2d[0, :, 2] = 0.05  # the model sees no hand here
        assert not landmarks_in_crops(hands, crops)[0].any()
        assert landmarks_in_crops(hands, crops)[1].any()


def _resting() -> dict[str, np.ndarray]:
    return {
        "global_orient": np.zeros(3, np.float32), "hand_pose": np.zeros(45, np.float32), "betas": np.zeros(10, np.float32),
    }  # fmt: skip


@pytest.mark.parametrize("boxes_with_landmarks", [0, 1])
def test_without_landmarks_the_networks_own_points_refine(hands: HandBoxes, boxes_with_landmarks: int) -> None:
    """A network whose maps show the true joints, of hands of which the detector gives boxes (and one's landmarks) alone."""
    network = tiny_network(replace(tiny_config(), dense=DenseConfig(8, 16, points=True)))
    assert hands.keypoints_2d is not None
    given = hands.keypoints_2d.copy()
    given[boxes_with_landmarks:] = np.nan
    boxes = HandBoxes(hands.boxes, hands.is_right, hands.scores, given if boxes_with_landmarks else None)
    plain, refined = (NetworkEstimator(network, refine=refine) for refine in (False, True))
    crops = plain.inputs.crops([PICTURE], np.zeros(2, int), boxes.boxes, boxes.is_right)
    true = torch.from_numpy(crops.to_crop(hands.keypoints_2d[..., :2].astype(float)) / 64 - 0.5).float()
    own = torch.cat([true, torch.full((2, 21, 1), 0.9), torch.zeros(2, 21, 1)], dim=-1)
    # The last hand alone when it is looked at twice, for want of landmarks: in the same box, which is tight around its joints.
    network.dense_head.register_forward_hook(
        lambda _module, inputs, output: {**output, "pred_points": own[-len(inputs[0]) :]}
    )
    before, after = (HandReconstructor(KnownHands(boxes), e)(PICTURE, camera=CAMERA) for e in (plain, refined))
    assert (errors(after, hands) < 0.5 * errors(before, hands)).all()
    confidence = [hand.joint_confidence for hand in after.hands]
    assert [c.tolist() for c in confidence] == [hand.joint_confidence.tolist() for hand in before.hands]
    # 0: the detector did not see these joints
    assert (confidence[1] == (0 if boxes_with_landmarks else hands.scores[1])).all()
