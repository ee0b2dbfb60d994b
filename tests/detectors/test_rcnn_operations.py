"""Single operations of the two-stage detectors against the original's, and mathematics that they must obey."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer.detectors.rcnn.anchors import ASPECTS, SIZES, STRIDES, cell_anchors, grid_anchors
from hamer.detectors.rcnn.box_coding import clip_boxes, decode_boxes, has_area
from hamer.detectors.rcnn.box_heads import STAGE_WEIGHTS
from hamer.detectors.rcnn.layers import ChannelNorm
from hamer.detectors.rcnn.pooling import pool_boxes, pyramid_levels
from hamer.detectors.rcnn.relative_attention import add_relative, attend, relative_positions, relative_terms
from hamer.detectors.rcnn.selection import SelectionRule, select_detections
from hamer.detectors.rcnn.vit_backbone import grid_positions, join_windows, pad_to_windows, split_windows


@pytest.fixture(scope="module")
def units(golden: Path) -> Any:
    return np.load(golden / "detectors" / "units.npz")


def tensor(units: Any, name: str) -> torch.Tensor:
    return torch.from_numpy(units[name])


@pytest.mark.parametrize(
    ("name", "weights"), [("rpn", (1.0, 1.0, 1.0, 1.0)), *((f"stage{i}", w) for i, w in enumerate(STAGE_WEIGHTS))]
)
def test_decoding(units: Any, name: str, weights: tuple[float, ...]) -> None:
    ours = decode_boxes(tensor(units, "decode.boxes"), tensor(units, f"decode.{name}.deltas"), weights)
    # coordinates to 2000 px, in float32 good to 1e-4
    np.testing.assert_allclose(ours.numpy(), units[f"decode.{name}.out"], rtol=0, atol=2e-4)


def test_no_change_decodes_to_the_same_box() -> None:
    boxes = torch.tensor([[1.0, 2.0, 5.0, 10.0], [3.0, 3.0, 3.0, 8.0]])
    assert torch.equal(decode_boxes(boxes, torch.zeros(2, 4)), boxes)


def test_clipping_keeps_what_is_inside_and_empties_what_is_not() -> None:
    clipped = clip_boxes(torch.tensor([[-5.0, -5.0, 5.0, 5.0], [12.0, 1.0, 20.0, 4.0], [2.0, 2.0, 3.0, 3.0]]), (8, 10))
    assert clipped.tolist() == [[0, 0, 5, 5], [10, 1, 10, 4], [2, 2, 3, 3]]
    assert has_area(clipped).tolist() == [True, False, True]


@pytest.mark.parametrize(("level", "side"), list(enumerate((6, 4, 3, 2, 1))))
def test_anchors(units: Any, level: int, side: int) -> None:
    ours = grid_anchors((side, side + 1), STRIDES[level], SIZES[level])
    np.testing.assert_array_equal(ours.numpy(), units[f"anchors.level{level}"])


def test_anchors_have_the_area_and_aspect_they_are_asked_for() -> None:
    width, height = (cell_anchors(64)[:, 2:] - cell_anchors(64)[:, :2]).T
    np.testing.assert_allclose((width * height).numpy(), 64**2, rtol=1e-6)
    np.testing.assert_allclose((height / width).numpy(), ASPECTS, rtol=1e-6)


def test_levels(units: Any) -> None:
    sides = tensor(units, "levels.square_sides").float()
    zero = torch.zeros_like(sides)
    ours = pyramid_levels(torch.stack([zero, zero, sides, sides], 1))
    np.testing.assert_array_equal(ours.numpy(), units["levels.level"])


def test_pooling_over_the_pyramid(units: Any) -> None:
    maps = [tensor(units, f"roi_align.map_stride{stride}") for stride in STRIDES[:4]]
    ours = pool_boxes(maps, [tensor(units, "roi_align.boxes")])
    # values of order 1, means of up to a thousand samples whose places are rounded
    np.testing.assert_allclose(ours.numpy(), units["roi_align.out"], rtol=0, atol=5e-6)


@pytest.mark.parametrize("kind", ["per_class", "agnostic"])
def test_selection(units: Any, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    boxes, scores = tensor(units, "select.boxes_per_class"), tensor(units, "select.scores")
    boxes = boxes if kind == "per_class" else boxes[:, :4]
    ours = select_detections(boxes, scores, (200, 240), SelectionRule(0.25, 0.5, 20))
    for name in ("boxes", "scores", "classes"):
        np.testing.assert_array_equal(getattr(ours, name).numpy(), units[f"select.{kind}.{name}"])
    # the original counts rows after it has dropped the one with a NaN
    left = torch.cat([boxes, scores], 1).isfinite().all(1).nonzero()[:, 0]
    np.testing.assert_array_equal(ours.rows.numpy(), left[units[f"select.{kind}.rows"]].numpy())
    assert "1 of 60 boxes" in caplog.text


def test_a_score_equal_to_the_threshold_is_no_detection() -> None:
    boxes, scores = torch.tensor([[0.0, 0.0, 2.0, 2.0]] * 2), torch.tensor([[0.5, 0.5], [0.75, 0.25]])
    found = select_detections(boxes, scores, (4, 4), SelectionRule(0.5, 0.5))
    assert found.rows.tolist() == [1]


def test_channel_norm(units: Any) -> None:
    norm = ChannelNorm(6)
    norm.load_state_dict({name: tensor(units, f"channel_norm.{name}") for name in ("weight", "bias")})
    with torch.no_grad():
        ours = norm(tensor(units, "channel_norm.in"))
    np.testing.assert_allclose(ours.numpy(), units["channel_norm.out"], rtol=0, atol=1e-6)  # float32 noise


@pytest.mark.parametrize(("size", "name"), [(16, "16x16_no_resize"), (20, "20x20_resized")])
def test_relative_positions(units: Any, size: int, name: str) -> None:
    ours = relative_positions(tensor(units, "rel_pos.table"), size)
    np.testing.assert_allclose(ours.numpy(), units[f"rel_pos.{name}"], rtol=0, atol=1e-6)  # float32 noise


def test_relative_terms(units: Any) -> None:
    q, logits = tensor(units, "rel_pos_add.q"), tensor(units, "rel_pos_add.attn")
    terms = relative_terms(q, tensor(units, "rel_pos_add.table_h"), tensor(units, "rel_pos_add.table_w"), (5, 7))
    ours = add_relative(logits.clone(), *terms)
    np.testing.assert_allclose(ours.numpy(), units["rel_pos_add.out_h5_w7"], rtol=0, atol=5e-6)  # float32 noise


@pytest.mark.parametrize("pairs", [1, 40, 35 * 35, 5 * 35 * 35], ids=["a query", "no whole row", "one", "several"])
def test_attention_in_parts_is_attention(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hamer.detectors.rcnn.relative_attention._PAIRS", pairs)
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(3, 35, 8, generator=generator, dtype=torch.float64) for _ in range(3))
    tables = [torch.randn(length, 8, generator=generator, dtype=torch.float64) for length in (9, 13)]
    ours = attend(q, k, v, *tables, (5, 7))
    row, column = torch.arange(35) // 7, torch.arange(35) % 7
    plain = q @ k.transpose(1, 2) * 8**-0.5
    plain += torch.einsum("bid,ijd->bij", q, tables[0][row[:, None] - row + 4])
    plain += torch.einsum("bid,ijd->bij", q, tables[1][column[:, None] - column + 6])
    torch.testing.assert_close(ours, plain.softmax(-1) @ v, rtol=0, atol=1e-5)  # the softmax is float32


@pytest.mark.parametrize(("name", "size", "step"), [("16x16", 16, 1), ("64x64_every3rd", 64, 3), ("14x14", 14, 1)])
def test_absolute_positions(units: Any, name: str, size: int, step: int) -> None:
    ours = grid_positions(tensor(units, "abs_pos.in"), (size, size))[:, ::step, ::step]
    np.testing.assert_allclose(ours.numpy(), units[f"abs_pos.{name}"], rtol=0, atol=1e-6)  # float32 noise


def test_windows(units: Any) -> None:
    tokens = tensor(units, "window.in")
    padded = pad_to_windows(tokens, 7)
    assert list(padded.shape[1:3]) == units["window.padded_hw"].tolist()
    windows = split_windows(padded, 7)
    np.testing.assert_array_equal(windows.numpy(), units["window.out_size7"])
    assert torch.equal(join_windows(windows, padded.shape[1:3])[:, :16, :10], tokens)
