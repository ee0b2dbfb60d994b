"""Heatmaps and keypoints of the small and the full network, against golden/vitpose/reduced.npz and full.npz."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer.detectors.vitpose import ViTPose
from hamer.detectors.wholebody.crops import network_input
from hamer.detectors.wholebody.decoding import decode
from hamer.detectors.wholebody.network import WholeBodyNetwork
from hamer.detectors.wholebody.weights import load_network
from hamer.models.config import ViTConfig

# Float32 sums in another order: the largest deviation seen is 1.1e-6 of values up to 1.4.
_NOISE = 1e-5
# Places can only be compared where the decision was not closer than the noise (FACTS.md).
_MARGIN = 1e-4


def compare(found: torch.Tensor, golden: Any, pre: Any, suffix: str) -> float:
    """Check maps (P, 133, 64, 48) and their keypoints; gives the largest deviation of a score."""
    n = len(found)
    maps = found.numpy()
    (top, bottom), (left, right) = golden["slice_yx"]
    window = maps[:, golden["joints"], top:bottom, left:right]
    np.testing.assert_allclose(window, golden[f"heatmap_slice_{suffix}"][:n], atol=_NOISE)
    first = golden[f"first_heatmaps_{suffix}_f16"].astype(np.float32)
    np.testing.assert_allclose(maps[0], first, atol=6e-4)  # stored as float16, values up to 1.5
    flat = maps.reshape(n, -1).astype(np.float64)
    statistics = np.stack([flat.mean(-1), flat.std(-1), flat.min(-1), flat.max(-1)], -1)
    np.testing.assert_allclose(statistics, golden[f"heatmap_stats_{suffix}"][:n], atol=_NOISE)
    points = decode(found, torch.from_numpy(pre["center"][:n]), torch.from_numpy(pre["scale"][:n])).numpy()
    expected = golden[f"keypoints_{suffix}"][:n]
    sure = (golden[f"margin_{suffix}"][:n] > _MARGIN).all(-1)
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(points[sure][:, :2], expected[sure][:, :2])
    np.testing.assert_allclose(points[..., 2], expected[..., 2], atol=_NOISE)
    return float(np.abs(points[..., 2] - expected[..., 2]).max())


@pytest.fixture(scope="module")
def pre(vitpose_golden: Path) -> dict[str, np.ndarray]:
    return dict(np.load(vitpose_golden / "pre.npz"))


@pytest.fixture(scope="module")
def small(small_file: Path, small_config: ViTConfig) -> WholeBodyNetwork:
    return load_network(small_file, small_config)


@pytest.mark.parametrize("flip_test", [False, True], ids=["noflip", "flip"])
def test_small_network(
    small: WholeBodyNetwork, pre: dict[str, np.ndarray], vitpose_golden: Path, flip_test: bool
) -> None:
    golden = np.load(vitpose_golden / "reduced.npz")
    inputs = network_input(torch.from_numpy(pre["crop_rgb_u8"]))
    with torch.inference_mode():
        found = ViTPose(flip_test=flip_test).heatmaps(small, inputs)
    compare(found, golden, pre, "flip" if flip_test else "noflip")


@pytest.mark.slow
def test_full_network(
    golden_state: Callable[[str], dict[str, torch.Tensor]],
    pre: dict[str, np.ndarray],
    vitpose_golden: Path,
    tmp_path: Path,
) -> None:
    golden = np.load(vitpose_golden / "full.npz")
    path = tmp_path / "wholebody.pth"
    torch.save({"meta": {"mmcv_version": "1.3.9"}, "state_dict": golden_state("full")}, path)
    network = load_network(path)
    inputs = network_input(torch.from_numpy(pre["crop_rgb_u8"][:2]))
    with torch.inference_mode():
        features = network.backbone(inputs[:1])
        plain = ViTPose(flip_test=False).heatmaps(network, inputs)
        flipped = ViTPose(flip_test=True).heatmaps(network, inputs)
    np.testing.assert_allclose(features[0, :64, 4:8, 3:7].numpy(), golden["backbone_slice"], atol=1e-4)
    compare(plain, golden, pre, "noflip")
    compare(flipped, golden, pre, "flip")


def test_pictures_and_boxes_to_keypoints(
    small_file: Path,
    small_config: ViTConfig,
    cases: dict[str, Any],
    pictures: dict[str, np.ndarray],
    vitpose_golden: Path,
) -> None:
    """The whole way: five photos, eleven persons above the gate, in batches that cut across pictures."""
    golden = np.load(vitpose_golden / "reduced.npz")
    images, boxes = [], []
    for photo in cases["photos"]:
        rows = np.array(photo["boxes_xyxy_score"], np.float32)
        images.append(pictures[photo["file"]])
        boxes.append(rows[rows[:, 4] > 0.5, :4])
    found = ViTPose(small_file, config=small_config, device="cpu", batch_size=3)(images, boxes)
    assert [len(points) for points in found] == [len(own) for own in boxes]
    points, expected = np.concatenate(found), golden["keypoints_flip"]
    sure = (golden["margin_flip"] > _MARGIN).all(-1)
    np.testing.assert_array_equal(points[sure][:, :2], expected[sure][:, :2])
    np.testing.assert_allclose(points[..., 2], expected[..., 2], atol=_NOISE)
