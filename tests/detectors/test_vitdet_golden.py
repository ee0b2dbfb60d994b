"""ViTDet against the original network with the same made-up weights: the reduced variant here, ViTDet-H among the slow."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hamer.detectors.rcnn.anchors import SIZES, STRIDES, cell_anchors, grid_anchors
from hamer.detectors.rcnn.box_coding import clip_boxes, decode_boxes
from hamer.detectors.rcnn.box_heads import STAGE_WEIGHTS, Judged
from hamer.detectors.rcnn.network import TwoStageNetwork
from hamer.detectors.rcnn.pictures import VITDET_PICTURES, prepare, to_photo
from hamer.detectors.rcnn.pooling import pool_boxes, pyramid_levels
from hamer.detectors.rcnn.proposals import Proposals, propose
from hamer.detectors.rcnn.selection import SelectionRule, select_detections
from hamer.detectors.rcnn.vit_backbone import ViTDetConfig, split_windows
from hamer.detectors.vitdet import VitDet, vitdet_network

CONFIGS = {"vitdet_small": ViTDetConfig(192, 4, 3, 256, (1, 3)), "vitdet": ViTDetConfig()}
RULES = {"official": VitDet.selection, "low": SelectionRule(0.02, VitDet.selection.overlap)}
# The original in float32 is within 5e-5 of itself in float64 for what the network computes, and 4e-4 for logits, which
# the option `classifier` makes seven times larger; another order of summation doubles that. See float32_vs_float64 in meta.json.
FEATURES, LOGITS = 1e-4, 1e-3
# What the issue asks for: px and score. Float32 gives ten times less.
PIXELS, SCORES = 0.05, 1e-4


@dataclass
class Run:
    """The golden photo's way through a network: maps by their golden names, and what is chosen from them."""

    folder: Path
    meta: dict[str, Any]
    network: TwoStageNetwork
    taps: dict[str, Tensor]
    features: list[Tensor]
    size: tuple[int, int]
    proposals: Proposals
    judged: dict[str, Judged]

    def arrays(self, name: str) -> Any:
        """Content of a golden file."""
        return np.load(self.folder / f"{name}.npz")


@pytest.fixture(scope="module", params=["vitdet_small", pytest.param("vitdet", marks=pytest.mark.slow)])
def run(request: pytest.FixtureRequest, golden: Path, photos: Path, fill_one: Callable[..., np.ndarray]) -> Run:
    folder = golden / "detectors" / request.param
    meta = json.loads((folder / "meta.json").read_text())
    network = filled(CONFIGS[request.param], fill_one, meta)
    pictures, size = golden_input(folder, meta, photos)
    with torch.inference_mode():
        taps, features = run_backbone(network, pictures)
        logits, deltas = network.proposal_generator.rpn_head(features)
        for level, maps in enumerate(zip(features, logits, deltas, strict=True), 2):
            taps |= dict(zip((f"p{level}", f"rpn.objectness.p{level}", f"rpn.deltas.p{level}"), maps, strict=True))
        (proposals,) = propose(logits, deltas, [size])
        fixed = torch.from_numpy(np.load(folder / "heads.npz")["boxes"])
        judged = {
            prefix: network.roi_heads(features, [boxes], [size])[0]
            for prefix, boxes in (("", proposals.boxes), ("fixed_", fixed))
        }
    return Run(folder, meta, network, taps, features, size, proposals, judged)


def filled(config: ViTDetConfig, fill_one: Callable[..., np.ndarray], meta: dict[str, Any]) -> TwoStageNetwork:
    """The network as users get it, with made-up weights that are made tensor by tensor: ViTDet-H has 2.7 GB of them."""
    with torch.device("meta"):
        network = vitdet_network(config)
    for name, value in network.state_dict().items():
        array = fill_one(name, tuple(value.shape), meta["seed"], meta["classifier"])
        owner, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(owner), leaf, nn.Parameter(torch.from_numpy(array), requires_grad=False))
    return VitDet().settle(network.eval(), "float32")


def golden_input(folder: Path, meta: dict[str, Any], photos: Path) -> tuple[Tensor, tuple[int, int]]:
    """Normalised and padded (1, 3, H, W), and (height, width) without padding."""
    if not (folder / "input.npz").is_file():
        photo = cv2.imread(str(photos / meta["photo"]))
        assert photo is not None
        pictures, (size,) = prepare([np.ascontiguousarray(photo[..., ::-1])], VITDET_PICTURES)
        return pictures, size
    levels = torch.from_numpy(np.load(folder / "input.npz")["resized_uint8_hwc"]).permute(2, 0, 1)
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (VITDET_PICTURES.mean, VITDET_PICTURES.std))
    pictures = torch.zeros(meta["padded_nchw"])
    height, width = levels.shape[1:]
    pictures[0, :, :height, :width] = (levels.float() - mean) / std
    return pictures, (height, width)


def run_backbone(network: TwoStageNetwork, pictures: Tensor) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Maps by golden names, and the pyramid."""
    taps: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module) -> Any:
        return module.register_forward_hook(lambda _module, _inputs, output: taps.__setitem__(name, output))

    transformer = network.backbone.net
    blocks = transformer.blocks
    handles = [keep("patch_embed", transformer.patch_embed), keep("block0.mlp", blocks[0].mlp)]
    handles += [
        blocks[0].register_forward_pre_hook(lambda _module, inputs: taps.__setitem__("after_pos_embed", *inputs))
    ]
    handles += [keep(f"block{index}.attn", block.attn) for index, block in enumerate(blocks)]
    handles += [keep(f"block{index}", block) for index, block in enumerate(blocks)]
    features = network.backbone(pictures)
    for handle in handles:
        handle.remove()
    return taps, features


def check_tap(run: Run, name: str, ours: Tensor, atol: float = FEATURES) -> None:
    """`ours` against the thinned tensor, and its means by channel."""
    wanted, features = run.meta["taps"][name], run.arrays("features")
    assert list(ours.shape) == wanted["shape"]
    by_tokens = name == "patch_embed" or name.startswith(("after", "block"))
    others = tuple(d for d in range(ours.ndim) if d != (ours.ndim - 1 if by_tokens else 1))
    ours = ours.float()
    thinned = ours.reshape(-1)[:: wanted["stride"]]
    np.testing.assert_allclose(thinned.numpy(), features[name], rtol=0, atol=atol, err_msg=name)
    # the means are about zero, so a mistake in a few places shows in the thinned tensor only, one everywhere in both
    np.testing.assert_allclose(
        ours.mean(others).numpy(), features[f"{name}:channel_mean"], rtol=0, atol=1e-5, err_msg=name
    )


def matched(expected: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """For each expected row the position of the nearest of ours; each is used once."""
    assert len(ours) == len(expected)
    nearest = np.abs(expected[:, None] - ours[None]).max(-1).argmin(1)
    assert len(set(nearest)) == len(expected), "two boxes have one partner"
    return nearest


@pytest.mark.parametrize("name", CONFIGS)
def test_names_and_shapes_are_those_of_the_file(golden: Path, name: str) -> None:
    with torch.device("meta"):
        ours = {n: list(value.shape) for n, value in vitdet_network(CONFIGS[name]).state_dict().items()}
    layout = json.loads((golden / "detectors" / name / "layout.json").read_text())["state_dict"]
    expected = {e["name"]: e["shape"] for e in layout}
    assert ours == {n: shape for n, shape in expected.items() if not n.startswith("roi_heads.mask_head.")}


def test_every_map(run: Run) -> None:
    checked = set(run.meta["taps"]) & set(run.taps)
    assert len(checked) == len([n for n in run.meta["taps"] if "stage" not in n and n != "roi_align"]) - 1
    for name in checked:
        check_tap(run, name, run.taps[name])


def test_windows_before_they_are_joined(run: Run) -> None:
    # ours projects after the windows are joined, without padding; projected here as the original does it
    block = run.network.backbone.net.blocks[0]
    with torch.inference_mode():
        tokens = block.norm1(run.taps["after_pos_embed"])
        rest = -tokens.shape[1] % 14
        windows = split_windows(nn.functional.pad(tokens, (0, 0, 0, rest, 0, rest)), 14)
        ours = block.attn(windows)
    check_tap(run, "block0.attn_windows", ours)


def test_proposals(run: Run) -> None:
    rpn = run.arrays("rpn")
    for level, (stride, size) in enumerate(zip(STRIDES, SIZES, strict=True), 2):
        np.testing.assert_array_equal(cell_anchors(size).numpy(), rpn[f"cell_anchors.p{level}"])
        anchors = grid_anchors(tuple(run.features[level - 2].shape[2:]), stride, size).numpy()
        np.testing.assert_array_equal(anchors[:12], rpn[f"anchors_first12.p{level}"])
        np.testing.assert_array_equal(anchors[-3:], rpn[f"anchors_last3.p{level}"])
    boxes, logits = (value.numpy() for value in run.proposals)
    order = matched(rpn["proposals"], boxes)
    np.testing.assert_allclose(boxes[order], rpn["proposals"], rtol=0, atol=PIXELS)
    np.testing.assert_allclose(logits[order], rpn["proposal_objectness"], rtol=0, atol=FEATURES)
    assert (np.diff(logits) <= 0).all()


def test_each_head_on_fixed_boxes(run: Run) -> None:
    heads, roi_heads = run.arrays("heads"), run.network.roi_heads
    boxes = torch.from_numpy(heads["boxes"])
    np.testing.assert_array_equal(pyramid_levels(boxes).numpy(), heads["levels"])
    with torch.inference_mode():
        pooled = pool_boxes(run.features, [boxes])
        check_tap(run, "roi_align", pooled)
        few = pooled[::8, ::16].numpy()
        np.testing.assert_allclose(few, heads["roi_align_8boxes_every16th_channel"], rtol=0, atol=FEATURES)
        for stage, weights in enumerate(STAGE_WEIGHTS):
            x = pooled
            for index in range(1, 5):
                x = roi_heads.box_head[stage].get_submodule(f"conv{index}")(x).relu()
                check_tap(run, f"stage{stage}.conv{index}", x)
            vectors = roi_heads.box_head[stage](pooled)
            logits, deltas = roi_heads.stage(stage, run.features, [boxes])
            moved = decode_boxes(boxes, deltas, weights)
            for name, ours, atol in (
                ("fc1", vectors[:, ::16], FEATURES),
                ("logits", logits, LOGITS),
                ("deltas", deltas, FEATURES),
                ("boxes", moved, PIXELS),
            ):
                np.testing.assert_allclose(ours.numpy(), heads[f"stage{stage}.{name}"], rtol=0, atol=atol, err_msg=name)


def test_the_cascade_from_fixed_boxes(run: Run) -> None:
    heads = run.arrays("heads")
    boxes = torch.from_numpy(heads["boxes"])
    with torch.inference_mode():
        for stage, weights in enumerate(STAGE_WEIGHTS):
            np.testing.assert_allclose(boxes.numpy(), heads[f"chain{stage}.in_boxes"], rtol=0, atol=PIXELS)
            logits, deltas = run.network.roi_heads.stage(stage, run.features, [boxes])
            np.testing.assert_allclose(logits.numpy(), heads[f"chain{stage}.logits"], rtol=0, atol=LOGITS)
            np.testing.assert_allclose(deltas.numpy(), heads[f"chain{stage}.deltas"], rtol=0, atol=FEATURES)
            boxes = clip_boxes(decode_boxes(boxes, deltas, weights), run.size)
    judged = run.judged["fixed_"]
    np.testing.assert_allclose(judged.scores.numpy(), heads["chain.scores"], rtol=0, atol=SCORES)
    np.testing.assert_allclose(judged.boxes.numpy(), heads["chain.boxes"], rtol=0, atol=PIXELS)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("prefix", ["", "fixed_"], ids=["proposals", "fixed boxes"])
def test_detections(run: Run, prefix: str, rule: str) -> None:
    content, judged = run.arrays("detections"), run.judged[prefix]
    found = select_detections(judged.boxes, judged.scores, run.size, RULES[rule])
    boxes, kept = to_photo(found.boxes, run.size, tuple(run.meta["photo_hw"]))
    name, classes, scores = prefix + rule, found.classes[kept].numpy(), found.scores[kept].numpy()
    # boxes of different classes are never partners
    expected = np.c_[content[f"{name}.boxes"], 1e4 * content[f"{name}.classes"]]
    order = matched(expected, np.c_[boxes.numpy(), 1e4 * classes])
    np.testing.assert_array_equal(classes[order], content[f"{name}.classes"])
    np.testing.assert_allclose(boxes.numpy()[order], content[f"{name}.boxes"], rtol=0, atol=PIXELS)
    np.testing.assert_allclose(scores[order], content[f"{name}.scores"], rtol=0, atol=SCORES)
    # before rescaling some are empty boxes; for these the file has no classes
    distance = np.abs(content[f"{name}.boxes_network"][:, None] - found.boxes.numpy()).max(-1)
    assert distance.shape == (len(found.boxes), len(found.boxes))
    assert max(distance.min(0).max(), distance.min(1).max()) < PIXELS
