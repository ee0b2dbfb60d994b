"""RegNetY against the original network with the same made-up weights: features, proposals, head, detections."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hamer.detectors.rcnn.anchors import SIZES, STRIDES, cell_anchors, grid_anchors
from hamer.detectors.rcnn.box_coding import decode_boxes
from hamer.detectors.rcnn.box_heads import STAGE_WEIGHTS
from hamer.detectors.rcnn.network import TwoStageNetwork
from hamer.detectors.rcnn.pictures import REGNETY_PICTURES, prepare, to_photo
from hamer.detectors.rcnn.pooling import pool_boxes, pyramid_levels
from hamer.detectors.rcnn.proposals import Proposals, propose
from hamer.detectors.rcnn.selection import Selected, SelectionRule, select_detections
from hamer.detectors.regnety import RegNetY, regnety_network

OFFICIAL, LOW = RegNetY.selection, SelectionRule(0.02, 0.4)
# Golden name to module of the backbone.
TAPS = {
    "stem": "bottom_up.stem",
    "s1.b1.se_gate": "bottom_up.s1.b1.f.se.f_ex",
    "s1.b1": "bottom_up.s1.b1",
    "s1": "bottom_up.s1",
    "s2.b1.f": "bottom_up.s2.b1.f",
    "s2": "bottom_up.s2",
    "s3.b12.se_gate": "bottom_up.s3.b12.f.se.f_ex",
    "s3": "bottom_up.s3",
    "s4": "bottom_up.s4",
    **{f"lateral{level}": f"fpn_lateral{level}" for level in range(2, 6)},
}
# Numbers of order 1 after 20 blocks in float32: the original itself is within 3e-6 of float64; another order of summation
# and folded norms double that.
FEATURES = 2e-5


class Golden(NamedTuple):
    """The files of golden/detectors/regnety."""

    folder: Path
    meta: dict[str, Any]

    def arrays(self, name: str) -> Any:
        return np.load(self.folder / f"{name}.npz")

    def check_tap(self, name: str, ours: Tensor, atol: float) -> None:
        """`ours` (N, C, ...) against the thinned tensor and the channel means."""
        features = self.arrays("features")
        assert list(ours.shape) == self.meta["taps"][name]["shape"]
        thinned = ours.reshape(-1)[:: self.meta["taps"][name]["stride"]].float().numpy()
        np.testing.assert_allclose(thinned, features[name], rtol=0, atol=atol, err_msg=name)
        means = ours.float().mean([d for d in range(ours.ndim) if d != 1]).numpy()
        np.testing.assert_allclose(means, features[f"{name}:channel_mean"], rtol=0, atol=atol, err_msg=name)


class Run(NamedTuple):
    """The golden photo's way through the network; `taps` are maps inside the backbone."""

    features: list[Tensor]
    logits: list[Tensor]
    deltas: list[Tensor]
    size: tuple[int, int]
    proposals: Proposals
    taps: dict[str, Tensor]


def matched(expected: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """For each expected box the position of the nearest of ours; each is used once."""
    distance = np.abs(expected[:, None] - ours[None]).max(-1)
    nearest = distance.argmin(1)
    assert len(set(nearest)) == len(expected), "two boxes have one partner"
    return nearest


def check_detections(content: Any, prefix: str, found: Selected, size: tuple[int, int], photo: tuple[int, int]) -> None:
    """Same boxes and classes: 0.05 px, scores 1e-4 (what the issue asks for; float32 gives 100 times less)."""
    boxes, kept = to_photo(found.boxes, size, photo)
    for key, ours, classes, scores in (
        ("boxes_network", found.boxes, found.classes, found.scores),
        ("boxes", boxes, found.classes[kept], found.scores[kept]),
    ):
        expected = content[f"{prefix}.{key}"]
        assert len(ours) == len(expected), prefix
        order = matched(np.c_[expected, 1e4 * content[f"{prefix}.classes"]], np.c_[ours, 1e4 * classes])
        np.testing.assert_allclose(ours.numpy()[order], expected, rtol=0, atol=0.05)
        np.testing.assert_array_equal(classes.numpy()[order], content[f"{prefix}.classes"])
        np.testing.assert_allclose(scores.numpy()[order], content[f"{prefix}.scores"], rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def facts(golden: Path) -> Golden:
    folder = golden / "detectors" / "regnety"
    return Golden(folder, json.loads((folder / "meta.json").read_text()))


@pytest.fixture(scope="module")
def detector(zoo_file: Callable[..., Path], facts: Golden) -> RegNetY:
    """The detector as users get it, from a file as the zoo's: 42 million numbers."""
    weights = zoo_file("regnety", seed=facts.meta["seed"], classifier=facts.meta["classifier"])
    return RegNetY(weights, device="cpu")


@pytest.fixture(scope="module")
def network(detector: RegNetY) -> TwoStageNetwork:
    """Its network: norms folded, channels last."""
    return detector.load()


@pytest.fixture(scope="module")
def photo(facts: Golden, photos: Path) -> np.ndarray:
    picture = cv2.imread(str(photos / facts.meta["photo"]))
    assert picture is not None
    return np.ascontiguousarray(picture[..., ::-1])


@pytest.fixture(scope="module")
def run(network: TwoStageNetwork, photo: np.ndarray) -> Run:
    taps: dict[str, Tensor] = {}
    hooks = [_keep(network, name, module, taps) for name, module in TAPS.items()]
    with torch.inference_mode():
        batch, (size,) = prepare([photo], REGNETY_PICTURES)
        features = network.backbone(batch)
        logits, deltas = network.proposal_generator.rpn_head(features)
    for hook in hooks:
        hook.remove()
    return Run(features, logits, deltas, size, propose(logits, deltas, [size])[0], taps)


def _keep(network: nn.Module, name: str, module: str, taps: dict[str, Tensor]) -> Any:
    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        taps[name] = output.clone()  # the next layer may work in place

    return network.get_submodule(f"backbone.{module}").register_forward_hook(keep)


def test_names_and_shapes_are_those_of_the_file(facts: Golden) -> None:
    with torch.device("meta"):
        ours = {name: list(value.shape) for name, value in regnety_network().state_dict().items()}
    layout = json.loads((facts.folder / "layout.json").read_text())["state_dict"]
    expected = {e["name"]: e["shape"] for e in layout}
    left_out = {n for n in expected if n.startswith("roi_heads.mask_head.") or n.endswith(".num_batches_tracked")}
    assert ours == {name: shape for name, shape in expected.items() if name not in left_out}


@pytest.mark.parametrize("name", TAPS)
def test_backbone(facts: Golden, run: Run, name: str) -> None:
    facts.check_tap(name, run.taps[name], FEATURES)


def test_every_tap_is_compared(facts: Golden, run: Run) -> None:
    levels = range(2, 7)
    elsewhere = {f"{what}p{n}" for n in levels for what in ("", "rpn.objectness.", "rpn.deltas.")}
    elsewhere |= {"roi_align", *(f"stage0.conv{n}" for n in range(1, 5))}
    assert set(facts.meta["taps"]) == elsewhere | set(run.taps)


def test_pyramid(facts: Golden, run: Run) -> None:
    for level, ours in enumerate(run.features):
        facts.check_tap(f"p{level + 2}", ours, FEATURES)


def test_proposal_head(facts: Golden, run: Run) -> None:
    for level, (logits, deltas) in enumerate(zip(run.logits, run.deltas, strict=True)):
        facts.check_tap(f"rpn.objectness.p{level + 2}", logits, FEATURES)
        facts.check_tap(f"rpn.deltas.p{level + 2}", deltas, FEATURES)


def test_anchors(facts: Golden, run: Run) -> None:
    rpn = facts.arrays("rpn")
    for level, (stride, size, logits) in enumerate(zip(STRIDES, SIZES, run.logits, strict=True), start=2):
        # float64 sides rounded once or twice
        np.testing.assert_allclose(cell_anchors(size).numpy(), rpn[f"cell_anchors.p{level}"], rtol=1e-6)
        anchors = grid_anchors(tuple(logits.shape[2:]), stride, size).numpy()
        np.testing.assert_allclose(anchors[:12], rpn[f"anchors_first12.p{level}"], rtol=1e-6)
        np.testing.assert_allclose(anchors[-3:], rpn[f"anchors_last3.p{level}"], rtol=1e-6)


def test_proposals(facts: Golden, run: Run) -> None:
    rpn = facts.arrays("rpn")
    assert len(run.proposals.boxes) == len(rpn["proposals"])
    order = matched(rpn["proposals"], run.proposals.boxes.numpy())
    np.testing.assert_allclose(run.proposals.boxes.numpy()[order], rpn["proposals"], rtol=0, atol=0.05)
    ours = run.proposals.logits.numpy()
    np.testing.assert_allclose(ours[order], rpn["proposal_objectness"], rtol=0, atol=FEATURES)
    assert (np.diff(ours) <= 0).all()


def test_head_on_fixed_boxes(facts: Golden, network: TwoStageNetwork, run: Run) -> None:
    heads = facts.arrays("heads")
    boxes = torch.from_numpy(heads["boxes"])
    np.testing.assert_array_equal(pyramid_levels(boxes).numpy(), heads["levels"])
    head, taps = network.roi_heads.box_head, {}
    with torch.inference_mode():
        pooled = pool_boxes(run.features, [boxes])
        x = pooled
        for index in range(1, 5):
            x = taps[f"stage0.conv{index}"] = head.get_submodule(f"conv{index}")(x).relu()
        vectors = head(pooled)
        logits, deltas = network.roi_heads.box_predictor(vectors)
    facts.check_tap("roi_align", pooled, 5e-5)  # sums of up to 30 x 30 samples whose places are rounded
    for name, ours in taps.items():
        facts.check_tap(name, ours, 5e-5)
    few = pooled[::8, ::16].numpy()
    np.testing.assert_allclose(few, heads["roi_align_8boxes_every16th_channel"], rtol=0, atol=5e-5)
    np.testing.assert_allclose(vectors[:, ::16].numpy(), heads["stage0.fc1"], rtol=0, atol=1e-5)
    # logits are 29 times larger than usual, so that made-up weights give detections
    np.testing.assert_allclose(logits.numpy(), heads["stage0.logits"], rtol=0, atol=2e-4)
    np.testing.assert_allclose(deltas.numpy(), heads["stage0.deltas"], rtol=0, atol=1e-5)
    decoded = decode_boxes(boxes, deltas, STAGE_WEIGHTS[0]).unflatten(1, (80, 4))[:, :80:20].flatten(1)
    np.testing.assert_allclose(decoded.numpy(), heads["stage0.boxes"], rtol=0, atol=1e-2)


@pytest.mark.parametrize("fixed", [False, True], ids=["proposals", "fixed"])
def test_detections(facts: Golden, network: TwoStageNetwork, run: Run, photo: np.ndarray, fixed: bool) -> None:
    boxes = torch.from_numpy(facts.arrays("heads")["boxes"]) if fixed else run.proposals.boxes
    with torch.inference_mode():
        (judged,) = network.roi_heads(run.features, [boxes], [run.size])
    for name, rule in (("official", OFFICIAL), ("low", LOW)):
        found = select_detections(*judged, run.size, rule)
        prefix = f"fixed_{name}" if fixed else name
        check_detections(facts.arrays("detections"), prefix, found, run.size, photo.shape[:2])


@pytest.mark.slow  # the whole way once more
def test_from_photo_to_boxes(facts: Golden, detector: RegNetY, photo: np.ndarray) -> None:
    expected = facts.arrays("detections")
    (found,) = detector([photo])
    np.testing.assert_allclose(found.boxes, expected["official.boxes"], rtol=0, atol=0.05)
    np.testing.assert_allclose(found.scores, expected["official.scores"], rtol=0, atol=1e-4)
    np.testing.assert_array_equal(found.classes, expected["official.classes"])
