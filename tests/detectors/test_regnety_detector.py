"""RegNetY as users meet it: loading, releasing, batches, precisions, pictures of every kind. A narrow network, small pictures."""

from __future__ import annotations

import pickle
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hamer.detectors.rcnn.layers import BatchNorm, NormedConv, fold_batch_norms
from hamer.detectors.rcnn.network import TwoStageNetwork
from hamer.detectors.rcnn.pictures import REGNETY_PICTURES, PictureRule
from hamer.detectors.rcnn.regnet_backbone import RegNetConfig, RegNetPyramid
from hamer.detectors.regnety import RegNetY, regnety_network
from hamer.errors import AssetError, WeightsError
from hamer.structures import Detections

TINY = RegNetConfig(stem_width=8, depths=(2, 1, 1, 1), widths=(64, 64, 128, 128))


class Tiny(RegNetY):
    """The detector with a narrow backbone and pictures so small that few boxes are judged."""

    pictures: PictureRule = replace(REGNETY_PICTURES, short_side=32, longest=64)

    def build(self, tensors: Mapping[str, Tensor]) -> TwoStageNetwork:
        return regnety_network(TINY)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as the zoo's, whose made-up classes are sure enough to be detected."""
    torch.manual_seed(0)
    network = regnety_network(TINY)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif name.endswith("cls_score.weight"):
            value.normal_(0, 2)
        elif value.ndim == 1:
            value.add_(0.05 * torch.randn_like(value))
    content = {"model": {n: v.numpy() for n, v in network.state_dict().items()}, "__author__": "made up"}
    path = tmp_path_factory.mktemp("weights") / "model_final_ef3a80.pkl"
    with path.open("wb") as file:
        pickle.dump(content, file)
    return path


@pytest.fixture(scope="module")
def detector(weights: Path) -> Tiny:
    return Tiny(weights, device="cpu", score_threshold=0.05, threads=1)


def pictures(*sizes: tuple[int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


def check_same(ours: Detections, others: Detections) -> None:
    """Equal but for the noise of float32: another batch may be summed in another order."""
    np.testing.assert_allclose(ours.scores, others.scores, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours.boxes, others.boxes, rtol=0, atol=1e-2)
    np.testing.assert_array_equal(ours.classes, others.classes)


def test_detections_are_well_formed(detector: Tiny) -> None:
    (image,) = pictures((60, 90))
    (found,) = detector([image])
    assert len(found) > 5
    assert found.boxes.dtype == np.float32
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, [0, 2]] <= 90).all()
    assert (found.boxes[:, [1, 3]] <= 60).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert (np.diff(found.scores) <= 0).all()
    assert (found.scores > 0.05).all()
    assert set(found.classes) <= set(range(80))


def test_channels_arrive_in_the_order_of_the_weights(weights: Path, detector: Tiny) -> None:
    """Red and blue exchanged in the picture, in the first convolution and in the rule: nothing changes."""
    images = pictures((60, 90))
    swapped = Tiny(weights, score_threshold=0.05, threads=1)
    rule = replace(Tiny.pictures, channels="RGB", mean=Tiny.pictures.mean[::-1], std=Tiny.pictures.std[::-1])
    swapped.pictures = rule  # type: ignore[misc]
    conv = swapped.load().backbone.bottom_up.stem.conv
    conv.weight.data = conv.weight.data.flip(1)
    check_same(swapped(images)[0], detector(images)[0])


def test_batches_give_what_single_pictures_give(weights: Path, detector: Tiny) -> None:
    images = pictures((60, 90), (90, 60), (60, 91), (120, 178))
    batched = Tiny(weights, score_threshold=0.05, threads=1, batch_size=2)(images)
    for image, ours in zip(images, batched, strict=True):
        check_same(ours, detector([image])[0])


def test_no_pictures(detector: Tiny) -> None:
    assert detector([]) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (7, 1000)])
def test_extreme_sizes(detector: Tiny, size: tuple[int, int]) -> None:
    (found,) = detector(pictures(size))
    assert np.isfinite(found.boxes).all()
    assert (found.boxes <= np.array([size[1], size[0]] * 2)).all()


@pytest.mark.parametrize("level", [0, 255])
def test_pictures_of_one_colour(detector: Tiny, level: int) -> None:
    (found,) = detector([np.full((60, 90, 3), level, np.uint8)])
    assert np.isfinite(found.scores).all()


def test_memory_layout_does_not_matter(detector: Tiny) -> None:
    (image,) = pictures((60, 90))
    views = [np.asfortranarray(image), image[:, ::-1].copy()[:, ::-1]]
    readonly = image.copy()
    readonly.setflags(write=False)
    expected = detector([image])[0]
    for view in (*views, readonly):
        check_same(detector([view])[0], expected)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([np.zeros((60, 90), np.uint8)], r"images\[0\] must have shape \(H, W, 3\).*grey"),
        ([np.zeros((60, 90, 4), np.uint8)], r"images\[0\] must have shape \(H, W, 3\), got \(60, 90, 4\)"),
        ([np.zeros((60, 90, 3), np.float32)], "must be uint8"),
        ([np.zeros((60, 90, 3), np.uint16)], "must be uint8"),
        ([np.zeros((0, 90, 3), np.uint8)], "no pixels"),
        ([np.zeros((9, 9, 3), np.uint8), "photo.jpg"], r"images\[1\] must be a numpy array"),
        ([None], "must be a numpy array"),
        (np.zeros((60, 90, 3), np.uint8), "must be a list of pictures"),
        ([np.zeros((1, 40000, 3), np.uint8)], "longer than 32767"),
    ],
)
def test_what_is_no_picture(detector: Tiny, images: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        detector(images)


def test_loading_is_lazy_and_can_be_undone(weights: Path) -> None:
    detector = Tiny(weights, score_threshold=0.05, threads=1)
    assert detector._network is None
    images = pictures((60, 90))
    first = detector(images)[0]
    assert detector.load() is detector.load()
    network = weakref.ref(detector.load())
    detector.release()
    assert network() is None  # nothing else holds its memory
    check_same(detector(images)[0], first)


def test_threads_are_put_back(detector: Tiny) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        detector(pictures((60, 90)))
        assert torch.get_num_threads() == 2
        with pytest.raises(ValueError, match="uint8"):
            detector([np.zeros((60, 90, 3))])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_threshold_only_removes(weights: Path, detector: Tiny) -> None:
    images = pictures((60, 90))
    low = detector(images)[0]
    middle = float(np.median(low.scores))
    high = Tiny(weights, score_threshold=middle, threads=1)(images)[0]
    assert 0 < len(high) < len(low)
    assert (high.scores > middle).all()
    assert RegNetY(weights).rule == RegNetY.selection


def test_missing_weights_name_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAMER_CACHE", str(tmp_path))
    monkeypatch.delenv("HAMER_DATA", raising=False)
    detector = RegNetY()  # nothing is opened before the first call
    with pytest.raises(AssetError, match=r"model_final_ef3a80.pkl: not found.*`hamer fetch regnety`"):
        detector(pictures((60, 90)))
    assert detector([]) == []


def test_weights_of_another_size_are_refused(weights: Path) -> None:
    with pytest.raises(WeightsError, match=r"does not fit.*of another shape.*Expected RegNetY-4GF"):
        RegNetY(weights).load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, r"precision of regnety must be one of auto, float32, bfloat16, float16, got 'int8'"),
        ({"score_threshold": 1.5}, "score_threshold must lie in 0 to 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RegNetY(**options)


def test_unknown_device() -> None:
    with pytest.raises(ValueError, match="device must be"):
        RegNetY(device="abacus").load()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_changes_little(weights: Path, detector: Tiny, precision: Any) -> None:
    images = pictures((60, 90))
    network = Tiny(weights, precision=precision, threads=1).load()
    dtypes = {value.dtype for value in network.state_dict().values()}
    assert dtypes == {torch.float32, getattr(torch, precision)}
    features, reference = (
        net.backbone(torch.from_numpy(images[0][:32, :64]).permute(2, 0, 1)[None] / 64)
        for net in (network, detector.load())
    )
    for ours, exact in zip(features, reference, strict=True):
        error = (ours.float() - exact).pow(2).mean().sqrt() / exact.pow(2).mean().sqrt()
        # 8 bits of mantissa are 0.4 %, of which ten layers add up some; float16 has 11
        assert error < (0.02 if precision == "bfloat16" else 0.003)


def test_float16_on_a_cpu_is_warned_of(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    for precision in ("float32", "bfloat16"):
        Tiny(weights, device="cpu", precision=precision).load()  # type: ignore[arg-type]
    assert not caplog.records
    Tiny(weights, device="cpu", precision="float16").load()
    assert "take bfloat16" in caplog.text


# --------------------------------------------------------------------------------------------------------------- folding


def test_folded_norms_compute_the_same() -> None:
    torch.manual_seed(0)
    plain = RegNetPyramid(TINY).double().eval()
    for name, value in plain.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.2, 3)
        elif value.ndim == 1:
            value.add_(torch.randn_like(value))
    folded = RegNetPyramid(TINY).double().eval()
    folded.load_state_dict(plain.state_dict())
    fold_batch_norms(folded)
    assert not any(isinstance(module, BatchNorm) for module in folded.modules())
    x = torch.randn(2, 3, 32, 64, dtype=torch.float64)
    for ours, expected in zip(folded(x), plain(x), strict=True):
        torch.testing.assert_close(ours, expected)


def test_folding_one_norm_is_exact() -> None:
    torch.manual_seed(0)
    layer = NormedConv(3, 5, 3, BatchNorm).double()
    norm = layer.norm
    assert isinstance(norm, BatchNorm)
    for value in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
        value.uniform_(0.3, 2)
    x = torch.randn(2, 3, 8, 9, dtype=torch.float64)
    own = nn.BatchNorm2d(5).double().eval()
    own.load_state_dict({**norm.state_dict(), "num_batches_tracked": torch.tensor(0)})
    expected = own(nn.functional.conv2d(x, layer.weight, padding=1))
    torch.testing.assert_close(layer(x), expected)
    fold_batch_norms(layer)
    torch.testing.assert_close(layer(x), expected)
    assert isinstance(layer.norm, nn.Identity)


def test_float32_is_exact_on_every_device(weights: Path) -> None:
    detector, allowed = Tiny(weights, device="cpu", threads=1), []
    detector.load().register_forward_hook(lambda *_: allowed.append(torch.backends.cudnn.allow_tf32))
    detector(pictures((60, 90)))
    assert allowed == [False]
