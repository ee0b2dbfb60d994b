"""The landmark model's convolutions before our transformer: equal to the published ones, and left as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hamer.checkpoints.hand_files import load_open_hand
from hamer.checkpoints.litert_files import convolutions, litert
from hamer.checkpoints.weights import plain_settings, read_weights, write_safetensors
from hamer.errors import WeightsError
from hamer.models.config import DecoderConfig, DenseConfig, HamerConfig, LandmarkConfig, ViTConfig
from hamer.models.hamer import HAMER, build_hamer
from hamer.models.landmark_stem import LandmarkStem, SameConvolution, Trunk
from hamer.models.loading import load_network
from hamer.weights import require_built_in

BACKBONE = ViTConfig(
    width=32, depth=1, heads=2, image_size=(128, 128), stem=(8, 16, 16), trunk="hand_landmark", drop_path_rate=0.0
)
CONFIG = HamerConfig(
    backbone=BACKBONE,
    head=DecoderConfig(width=32, depth=1, heads=2, dim_head=16, mlp_dim=32, context_dim=32),
    image_size=128,
    landmarks=LandmarkConfig(depth=1, heads=2),
    dense=DenseConfig(width=8, side=32, skips=True, points=True),
)


@pytest.fixture(scope="module")
def network() -> HAMER:
    torch.manual_seed(0)
    model = build_hamer(CONFIG, load_open_hand())
    for layer in model.backbone.patch_embed.modules():
        if isinstance(layer, SameConvolution):  # forty layers as torch makes them would let nothing through
            torch.nn.init.kaiming_normal_(layer.weight)
    return model.eval()


def crops(n: int) -> torch.Tensor:
    return torch.randn(n, 3, 128, 128, generator=torch.Generator().manual_seed(1))


def test_trunk_is_the_landmark_models(landmark_models: tuple[Path, Path]) -> None:
    """Against LiteRT's own run of the same file, map by map; float32 sums in another order over forty layers."""
    trunk = Trunk()
    trunk.load(landmark_models[1])
    picture = np.random.default_rng(0).random((1, 224, 224, 3), np.float32)
    module = litert("A test", "")
    plain = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = module.Interpreter(
        str(landmark_models[1]), experimental_op_resolver_type=plain, experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    last = {}  # of each shape, the last map that no activation follows
    for step in interpreter._get_ops_details():
        if step["op_name"] in ("CONV_2D", "ADD"):
            values = interpreter.get_tensor(int(step["outputs"][0]))
            last[values.shape[1:]] = values
    with torch.no_grad():
        maps = trunk(torch.from_numpy(picture).permute(0, 3, 1, 2))
    assert [tuple(m.shape[1:]) for m in maps] == [(24, 56, 56), (40, 28, 28), (112, 14, 14), (192, 7, 7)]
    for found in maps:
        expected = last[(*found.shape[2:], found.shape[1])]
        np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy(), expected[0], atol=2e-3)


def test_the_shipped_networks_trunk_is_the_published_one(landmark_models: tuple[Path, Path]) -> None:
    shipped = read_weights(require_built_in()).tensors
    trunk = Trunk()
    trunk.load(landmark_models[1])
    for name, value in trunk.state_dict().items():
        assert torch.equal(shipped[f"backbone.patch_embed.trunk.{name}"].float(), value), name


def test_another_file_is_no_trunk(tmp_path: Path, landmark_models: tuple[Path, Path]) -> None:
    with pytest.raises(WeightsError, match=r"hand_landmark_full\.tflite.*hamer fetch hand_landmarker"):
        Trunk().load(landmark_models[0])
    (tmp_path / "text.tflite").write_text("no network", encoding="utf-8")
    with pytest.raises(WeightsError, match="must be a LiteRT network"):
        convolutions(tmp_path / "text.tflite")


def test_padding_is_tensorflows() -> None:
    """Stride 2 over an even side pads behind only; over an odd one, on both sides."""
    layer = SameConvolution(1, 1, 3, stride=2).requires_grad_(False)
    layer.weight.fill_(1.0)
    layer.bias.zero_()
    assert layer(torch.ones(1, 1, 4, 4))[0, 0].tolist() == [[9.0, 6.0], [6.0, 4.0]]
    assert layer(torch.ones(1, 1, 3, 3))[0, 0].tolist() == [[4.0, 4.0], [4.0, 4.0]]


def test_all_but_the_trunk_learns(network: HAMER) -> None:
    stem = network.backbone.patch_embed
    assert isinstance(stem, LandmarkStem)
    output = network({"img": crops(3), "landmarks": torch.full((3, 21, 7), 0.1)})
    names = ("pred_vertices", "pred_keypoints_2d", "pred_heatmaps", "pred_parts", "pred_points")
    torch.stack([output[name].sum() for name in names]).sum().backward()
    idle = {name for name, p in network.named_parameters() if p.grad is None}
    network.zero_grad()
    assert idle == {f"backbone.patch_embed.trunk.{name}" for name, _ in stem.trunk.named_parameters()}


def test_many_crops_are_each_as_alone(network: HAMER) -> None:
    """They go through the trunk in groups, of which the last is smaller."""
    images = crops(10)
    with torch.no_grad():
        together, alone = network.backbone(images), network.backbone(images[9:])
        assert network.backbone(images[:0]).shape == (0, 32, 8, 8)
    torch.testing.assert_close(together[9:], alone, atol=1e-5, rtol=0)  # float32 sums in another order
    assert (together[9:] - together[:1]).abs().max() > 1e-2


def test_maps_are_the_trunks_on_the_crops_true_colours(network: HAMER) -> None:
    """Taken back to 0..1, enlarged, and each map resized to the crop's 1/4, 1/8 and 1/16; half precision changes nothing."""
    stem = network.backbone.patch_embed
    assert isinstance(stem, LandmarkStem)
    colours = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(3))
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    normalised = (colours - mean) / std
    with torch.no_grad():
        given = stem.trunk(F.interpolate(colours, size=(160, 160), mode="bilinear", align_corners=False))
        found = stem._maps(normalised)
    assert [m.shape[-1] for m in given] == [40, 20, 10, 5]
    plain = [
        F.interpolate(m, size=(rows, rows), mode="bilinear", align_corners=False, antialias=True)
        for m, rows in zip(given, (32, 16, 8, 8), strict=True)
    ]
    for one, other in zip(found, (plain[0], plain[1], torch.cat(plain[2:], dim=1)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    stages: list[torch.Tensor] = []
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        stem.eval()(normalised, stages)
        assert stem.stages[0](found[0]).equal(stages[0])


def test_in_training_the_trunk_runs_in_the_runs_precision() -> None:
    """And is not trained: what reads its maps gets a gradient, it gets none."""
    stem = LandmarkStem((8, 12, 16), 20).train()
    read: list[torch.dtype] = []
    stem.stages[0].register_forward_pre_hook(lambda _module, args: read.append(args[0].dtype))
    for enabled in (True, False):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            maps: list[torch.Tensor] = []
            tokens = stem(torch.rand(1, 3, 128, 128), maps)
            sum(m.float().sum() for m in (tokens, *maps)).backward()  # type: ignore[union-attr]
    assert read == [torch.bfloat16, torch.float32]
    assert all(p.grad is None for p in stem.trunk.parameters())
    assert all(p.grad is not None for p in stem.stages.parameters())


def test_colours_are_those_that_the_stem_takes_back() -> None:
    cfg = CONFIG.to_cfg().clone()
    cfg.defrost()
    cfg.MODEL.IMAGE_MEAN = [0.5, 0.5, 0.5]
    with pytest.raises(ValueError, match=r"IMAGE_MEAN and IMAGE_STD must be .* with MODEL\.BACKBONE\.TRUNK"):
        HamerConfig.from_cfg(cfg)


def test_a_file_brings_the_trunk(network: HAMER, tmp_path: Path) -> None:
    """A network's file is read without its weights being made first; another trunk can be begun from it."""
    tensors = {k: v for k, v in network.state_dict().items() if not k.startswith("mano.")}
    settings = plain_settings(network.cfg)
    settings["MANO"]["MODEL_PATH"] = "open"
    write_safetensors(tmp_path / "small.safetensors", tensors, config=settings)
    loaded = load_network(tmp_path / "small.safetensors")
    with torch.no_grad():
        assert loaded({"img": crops(2)})["pred_vertices"].equal(network.eval()({"img": crops(2)})["pred_vertices"])
    trunk = Trunk()
    trunk.load(tmp_path / "small.safetensors")
    assert trunk.first.weight.equal(tensors["backbone.patch_embed.trunk.first.weight"])


def test_configuration_survives_its_tree() -> None:
    assert HamerConfig.from_cfg(CONFIG.to_cfg()) == CONFIG


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"trunk": "hand"}, "TRUNK must be one of hand_landmark"),
        ({"stem": (8, 16, 16, 32)}, "three widths"),
        ({"stem": None}, "three widths"),
        ({"stem_blocks": (0, 1, 1)}, "no STEM_BLOCKS"),
        ({"image_size": (128, 64)}, "square"),
        ({"image_size": (192, 192)}, "multiple of 128"),
    ],
)
def test_what_a_trunk_needs(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        replace(BACKBONE, **changes)  # type: ignore[arg-type]
