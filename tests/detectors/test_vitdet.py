"""The detector `vitdet` as users meet it, on a network with few tokens and few proposals."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hamer.detectors.rcnn import proposals
from hamer.detectors.rcnn.box_heads import CascadeHeads
from hamer.detectors.rcnn.network import TwoStageNetwork
from hamer.detectors.rcnn.pictures import VITDET_PICTURES
from hamer.detectors.rcnn.selection import SelectionRule, select_detections
from hamer.detectors.rcnn.vit_backbone import ViTDetConfig
from hamer.detectors.vitdet import VitDet, vitdet_network
from hamer.errors import AssetError, WeightsError
from hamer.structures import Detections

TINY = ViTDetConfig(width=32, depth=2, heads=2, image_size=128, global_blocks=(1,), window=5)


class TinyVitDet(VitDet):
    """128 px instead of 1024, 2 blocks instead of 32."""

    pictures = replace(VITDET_PICTURES, short_side=128, longest=128, square=128)

    def build(self, tensors: Mapping[str, Tensor]) -> TwoStageNetwork:
        return vitdet_network(TINY)


@pytest.fixture(autouse=True)
def few_proposals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The heads take most of a tiny network's time."""
    monkeypatch.setattr(proposals, "_BEST_OF_LEVEL", 40)
    monkeypatch.setattr(proposals, "_KEPT", 30)


def spread(heads: CascadeHeads) -> None:
    """Make scores differ from box to box: all three heads lean to two classes."""
    for predictor in heads.box_predictor:
        torch.nn.init.normal_(predictor.cls_score.weight, std=0.3)
        with torch.no_grad():
            predictor.cls_score.bias[:2] += 6


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights whose scores spread, so that some boxes pass thresholds."""
    torch.manual_seed(0)
    network = vitdet_network(TINY)
    spread(network.roi_heads)
    for name in ("rel_pos_h", "rel_pos_w"):
        for block in network.backbone.net.blocks:
            torch.nn.init.normal_(getattr(block.attn, name), std=0.1)
    path = tmp_path_factory.mktemp("vitdet") / "tiny.safetensors"
    save_file(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Smooth noise: tall, wide, square."""
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((30, 20), (9, 25), (16, 16))]
    return [picture.repeat(8, 0).repeat(8, 1) for picture in coarse]


def equal(a: Detections, b: Detections, atol: float = 1e-3) -> None:
    """Same detections: batches sum in another order, hence the tolerance in px; scores follow within a tenth of it."""
    np.testing.assert_array_equal(a.classes, b.classes)
    np.testing.assert_allclose(a.boxes, b.boxes, rtol=0, atol=atol)
    np.testing.assert_allclose(a.scores, b.scores, rtol=0, atol=0.1 * atol)


def test_pictures_of_any_size_share_batches(weights: Path, pictures: list[np.ndarray]) -> None:
    together = TinyVitDet(weights, device="cpu", batch_size=2)(pictures)
    alone = [TinyVitDet(weights, device="cpu")([picture])[0] for picture in pictures]
    for a, b, picture in zip(together, alone, pictures, strict=True):
        assert len(a) > 3
        equal(a, b)
        height, width = picture.shape[:2]
        assert (a.boxes >= 0).all()
        assert (a.boxes <= [width, height, width, height]).all()
        assert (a.boxes[:, 2:] > a.boxes[:, :2]).all()
        assert (np.diff(a.scores) <= 0).all()


def test_a_higher_threshold_leaves_the_first_of_the_same(weights: Path, pictures: list[np.ndarray]) -> None:
    (low,) = TinyVitDet(weights, device="cpu", score_threshold=0.1)(pictures[:1])
    (official,) = TinyVitDet(weights, device="cpu")(pictures[:1])
    (high,) = TinyVitDet(weights, device="cpu", score_threshold=0.5)(pictures[:1])
    assert len(low) > len(official) > len(high) > 0
    for found, threshold in ((official, 0.25), (high, 0.5)):
        assert len(found) == (low.scores > threshold).sum()
        equal(found, Detections(*(values[: len(found)] for values in (low.boxes, low.scores, low.classes))))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precisions_round_what_is_large_and_choose_in_float32(
    weights: Path, pictures: list[np.ndarray], precision: str
) -> None:
    detector, reference = TinyVitDet(weights, device="cpu", precision=precision), TinyVitDet(weights, device="cpu")
    network = detector.load()
    dtypes = {name: value.dtype for name, value in network.named_parameters()}
    assert dtypes["backbone.net.blocks.0.mlp.fc1.weight"] == getattr(torch, precision)
    assert dtypes["roi_heads.box_head.2.conv4.weight"] == getattr(torch, precision)
    assert dtypes["roi_heads.box_predictor.0.cls_score.weight"] == torch.float32
    assert dtypes["proposal_generator.rpn_head.objectness_logits.weight"] == torch.float32
    boxes = torch.tensor([[10.0, 20.0, 60.0, 90.0], [0.0, 0.0, 128.0, 128.0]])
    pixels = torch.from_numpy(np.random.default_rng(1).standard_normal((1, 3, 128, 128)).astype(np.float32))
    with torch.inference_mode():
        ours, exact = (n.roi_heads(n.backbone(pixels), [boxes], [(128, 128)])[0] for n in (network, reference.load()))
    assert ours.scores.dtype == ours.boxes.dtype == torch.float32
    # 8 bits of mantissa through 2 blocks and 3 heads, whose logits are of order 5
    torch.testing.assert_close(ours.scores, exact.scores, rtol=0, atol=0.05)
    torch.testing.assert_close(ours.boxes, exact.boxes, rtol=0, atol=1.0)
    assert not torch.equal(ours.scores, exact.scores)


def test_no_pictures_need_no_weights(tmp_path: Path) -> None:
    assert TinyVitDet(tmp_path / "none.pkl", device="cpu")([]) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 900, 3), (700, 2, 3)])
def test_tiny_and_thin_pictures(weights: Path, shape: tuple[int, int, int]) -> None:
    (found,) = TinyVitDet(weights, device="cpu", score_threshold=0.05)([np.full(shape, 90, np.uint8)])
    assert np.isfinite(found.boxes).all()
    assert (found.boxes <= [shape[1], shape[0], shape[1], shape[0]]).all()


@pytest.mark.parametrize(
    "picture",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8)],
    ids=["grey", "float", "empty"],
)
def test_what_is_no_picture(weights: Path, picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"images\[1\]"):
        TinyVitDet(weights, device="cpu")([np.zeros((8, 8, 3), np.uint8), picture])


def test_released_weights_are_loaded_again(weights: Path, pictures: list[np.ndarray]) -> None:
    detector = TinyVitDet(weights, device="cpu")
    (first,) = detector(pictures[:1])
    network = detector.load()
    assert detector.load() is network
    detector.release()
    assert detector.load() is not network
    equal(first, detector(pictures[:1])[0])


def test_missing_weights_name_what_fetches_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAMER_DATA", str(tmp_path))
    monkeypatch.setenv("HAMER_CACHE", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(AssetError, match="hamer fetch"):
        VitDet(device="cpu").load()


def test_weights_with_nan_are_refused(weights: Path, tmp_path: Path) -> None:
    content = load_file(weights)
    content["backbone.net.blocks.1.mlp.fc1.bias"][3] = float("nan")
    save_file(content, tmp_path / "nan.safetensors")
    with pytest.raises(WeightsError, match=r"blocks\.1\.mlp\.fc1\.bias"):
        TinyVitDet(tmp_path / "nan.safetensors", device="cpu").load()


def test_maps_that_are_not_finite_give_nothing_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    network = vitdet_network(TINY).eval()
    with caplog.at_level(logging.WARNING):
        (found,) = network(torch.full((1, 3, 128, 128), float("inf")), [(128, 100)], VitDet.selection)
    assert len(found.boxes) == 0
    assert "not finite" in caplog.text


def test_a_head_that_gives_no_numbers_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    network = vitdet_network(TINY).eval()
    network.roi_heads.box_predictor[0].bbox_pred.bias.data[1] = float("nan")
    with caplog.at_level(logging.WARNING):
        (found,) = network(torch.zeros(1, 3, 128, 128), [(128, 100)], VitDet.selection)
    assert len(found.boxes) == 0
    assert "boxes have numbers that are not finite" in caplog.text


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"precision": "int4"}, "precision"),
        ({"score_threshold": 1.5}, "score_threshold"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_wrong_options(options: dict[str, object], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        VitDet(**options)  # type: ignore[arg-type]


def test_nothing_that_could_be_detected_is_left_out_early() -> None:
    """Boxes that no third head can lift over the threshold are not shown to it; the detections are the same."""
    torch.manual_seed(0)
    heads, sizes = CascadeHeads().eval(), [(64, 64), (60, 50)]
    spread(heads)
    features = [torch.randn(2, 256, 64 // s, 64 // s) for s in (4, 8, 16, 32)]
    corner = torch.rand(2, 25, 2) * 30
    boxes = list(torch.cat([corner, corner + 5 + torch.rand(2, 25, 2) * 20], -1))
    rule = SelectionRule(0.6, 0.5)
    with torch.inference_mode():
        every = heads(features, boxes, sizes)
        some = heads(features, boxes, sizes, rule.score_threshold)
    assert sum(len(s.boxes) for s in some) < 50
    for a, b, size in zip(every, some, sizes, strict=True):
        expected, found = (select_detections(j.boxes, j.scores, size, rule) for j in (a, b))
        assert len(expected.boxes) > 0
        torch.testing.assert_close(
            found.boxes, expected.boxes, rtol=0, atol=1e-4
        )  # another batch, another order of sums
        torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-5)
        assert torch.equal(found.classes, expected.classes)


@pytest.mark.parametrize(
    "config",
    [
        ViTDetConfig(),
        ViTDetConfig(width=1024, depth=24, heads=16, global_blocks=(5, 11, 17, 23)),
        ViTDetConfig(width=768, depth=12, heads=12, global_blocks=(2, 5, 8, 11)),
    ],
    ids=["H", "L", "B"],
)
def test_sizes_are_read_off_the_tensors(config: ViTDetConfig) -> None:
    with torch.device("meta"):
        tensors = vitdet_network(config).state_dict()
    assert ViTDetConfig.of(tensors) == config


def test_tensors_of_no_vitdet_give_the_defaults_which_then_do_not_fit() -> None:
    assert ViTDetConfig.of({"backbone.net.pos_embed": torch.zeros(3)}) == ViTDetConfig()
