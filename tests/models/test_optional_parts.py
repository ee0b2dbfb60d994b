"""The parts that the published network does not have: a convolutional stem, landmark tokens, maps, points of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hamer.checkpoints.hand_files import load_open_hand
from hamer.checkpoints.weights import plain_settings, write_safetensors
from hamer.models.config import DecoderConfig, DenseConfig, HamerConfig, LandmarkConfig, ViTConfig
from hamer.models.dense_head import points as points_of
from hamer.models.hamer import HAMER, build_hamer
from hamer.models.loading import load_network
from hamer.models.precision import set_precision

SMALL = HamerConfig(
    backbone=ViTConfig(
        width=32, depth=2, heads=2, image_size=(64, 64), stem=(8, 16, 16, 32), drop_path_rate=0.0
    ),
    head=DecoderConfig(width=32, depth=2, heads=2, dim_head=16, mlp_dim=32, context_dim=32),
    image_size=64,
    focal_length=1250.0,
    landmarks=LandmarkConfig(depth=1, heads=2),
    dense=DenseConfig(width=8, side=16),
)  # fmt: skip
WITH_POINTS = replace(
    SMALL,
    backbone=replace(SMALL.backbone, stem_blocks=(0, 1, 0, 2)),
    dense=DenseConfig(width=8, side=16, skips=True, points=True),
)


def built(config: HamerConfig) -> HAMER:
    torch.manual_seed(0)
    model = build_hamer(config, load_open_hand())
    for name, parameter in model.named_parameters():  # layers that start near zero would hide what is tested
        if name.startswith("mano_head.dec"):
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.fixture
def network() -> HAMER:
    return built(SMALL)


@pytest.fixture
def network_with_points() -> HAMER:
    return built(WITH_POINTS)


def crops(n: int = 3) -> torch.Tensor:
    return torch.randn(n, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def points(n: int = 3) -> torch.Tensor:
    drawn = torch.rand(n, 21, 7, generator=torch.Generator().manual_seed(2)) - 0.5
    drawn[..., 6] = 1.0
    return drawn


@pytest.mark.parametrize("config", [SMALL, WITH_POINTS])
def test_configuration_survives_its_tree(config: HamerConfig) -> None:
    assert HamerConfig.from_cfg(config.to_cfg()) == config


def test_published_configuration_has_none_of_our_keys() -> None:
    model = HamerConfig().to_cfg().MODEL
    assert not {"LANDMARK_TOKENS", "DENSE_HEAD"} & set(model)
    assert not {"STEM", "STEM_BLOCKS", "IMAGE_SIZE"} & set(model.BACKBONE)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("LANDMARK_TOKENS", {"WIDTH": 3}, "LANDMARK_TOKENS.WIDTH"),
        ("LANDMARK_TOKENS", {"HEADS": 3}, "LANDMARK_TOKENS.HEADS"),
        ("DENSE_HEAD", {"SIDE": 18}, "DENSE_HEAD.SIDE"),
    ],
)
def test_wrong_parts_are_named(key: str, value: dict[str, int], named: str) -> None:
    cfg = SMALL.to_cfg().clone()
    cfg.defrost()
    cfg.MODEL[key] = value
    with pytest.raises(ValueError, match=named):
        HamerConfig.from_cfg(cfg)


def test_stem_must_halve_as_often_as_patches_are_large() -> None:
    with pytest.raises(ValueError, match="one entry a halving, 4"):
        ViTConfig(stem=(8, 16))


def test_each_stage_of_the_stem_has_its_blocks() -> None:
    with pytest.raises(ValueError, match="one entry for each of the stem's stages"):
        ViTConfig(stem=(8, 16, 16, 32), stem_blocks=(0, 1))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"landmarks": None, "dense": DenseConfig(points=True)}, "LANDMARK_TOKENS"),
        ({"backbone": replace(SMALL.backbone, stem=None), "dense": DenseConfig(skips=True)}, "BACKBONE.STEM"),
    ],
)
def test_parts_that_need_others(config: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"DENSE_HEAD.*{named}"):
        replace(SMALL, **config)


def test_unknown_points_are_like_no_points(network: HAMER) -> None:
    unknown = points()
    unknown[..., 6] = 0.0
    without = network({"img": crops()})
    told = network({"img": crops(), "landmarks": unknown})
    assert torch.equal(without["pred_vertices"], told["pred_vertices"])


def test_each_number_of_a_known_point_matters(network: HAMER) -> None:
    plain = network({"img": crops(), "landmarks": points()})["pred_vertices"]
    for number in range(6):
        changed = points()
        changed[:, 8, number] += 0.1
        assert not torch.allclose(plain, network({"img": crops(), "landmarks": changed})["pred_vertices"], atol=1e-7)


def test_a_point_sees_the_features_where_it_lies(network: HAMER) -> None:
    """Only the cell under the point reaches its token: bilinear weights vanish a cell away."""
    assert network.landmark_tokens is not None
    features = torch.zeros(1, 32, 4, 4)
    landmarks = torch.zeros(1, 21, 7)
    landmarks[..., 6] = 1.0
    landmarks[0, :, 0], landmarks[0, :, 1] = -0.375, 0.125  # the centre of column 0, row 2
    empty, _ = network.landmark_tokens(features, landmarks)
    for row, column in ((2, 0), (0, 0), (2, 3)):
        marked = features.clone()
        marked[0, :, row, column] = 1.0
        same = torch.equal(network.landmark_tokens(marked, landmarks)[0], empty)
        assert same is ((row, column) != (2, 0))


def test_wrong_shape_of_points_is_told(network: HAMER) -> None:
    with pytest.raises(ValueError, match=r"landmarks.*\(3, 21, 7\), got \(3, 21, 3\)"):
        network({"img": crops(), "landmarks": points()[..., :3]})


@pytest.mark.parametrize("config", [SMALL, WITH_POINTS])
def test_hands_of_a_batch_do_not_see_each_other(config: HamerConfig) -> None:
    network = built(config)
    together = network({"img": crops(), "landmarks": points()})["pred_vertices"]
    alone = network({"img": crops()[1:2], "landmarks": points()[1:2]})["pred_vertices"]
    assert torch.allclose(together[1:2], alone, atol=1e-6)  # float32 sums in another order


@pytest.mark.parametrize("config", [SMALL, WITH_POINTS])
def test_maps_and_their_gradients(config: HamerConfig) -> None:
    network = built(config)
    output = network.train()({"img": crops(), "landmarks": points()})
    assert output["pred_heatmaps"].shape == (3, 21, 16, 16)
    assert output["pred_parts"].shape == (3, 19, 16, 16)
    learned = ["pred_vertices", "pred_keypoints_2d", "pred_heatmaps", "pred_parts"]
    if config is WITH_POINTS:
        assert output["pred_points"].shape == (3, 21, 4)
        learned.append("pred_points")
    torch.stack([output[name].sum() for name in learned]).sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def reloaded(network: HAMER, folder: Path) -> HAMER:
    """As a checkpoint of training is: maps in the configuration and in the tensors, the hand from the package."""
    tensors = {k: v for k, v in network.state_dict().items() if not k.startswith("mano.")}
    cfg = plain_settings(network.cfg)
    cfg["MANO"]["MODEL_PATH"] = "open"
    path = folder / "small.safetensors"
    write_safetensors(path, tensors, config=cfg)
    return load_network(path)


def test_weights_without_maps_load_for_inference(network: HAMER, tmp_path: Path) -> None:
    loaded = reloaded(network, tmp_path)
    assert loaded.dense_head is None
    assert loaded.cfg.MODEL.BBOX_SHAPE == [64, 64]
    batch = {"img": crops(), "landmarks": points()}
    assert "pred_parts" not in loaded(batch)
    assert torch.equal(loaded(batch)["pred_vertices"], network(batch)["pred_vertices"])


def test_lower_precision_stays_near(network: HAMER) -> None:
    batch = {"img": crops(), "landmarks": points()}
    exact = network(batch)["pred_vertices"]
    rounded = set_precision(network, "bfloat16")(batch)["pred_vertices"]
    assert 0 < (exact - rounded).abs().max() < 2e-3  # metres; bfloat16 keeps 8 bits of numbers near 1


def test_points_of_a_map_are_its_mean_place() -> None:
    """A Gaussian of 1.5 cells well within the grid: its mean is exact to the sampling; a flat map is the crop's middle."""
    side, where = 32, torch.tensor([[0.11, -0.2], [-0.15, 0.07]])
    at = (torch.arange(side) + 0.5) / side - 0.5
    distance = (at[None, None] - where[:, 0, None, None]) ** 2 + (at[None, :, None] - where[:, 1, None, None]) ** 2
    heatmaps = torch.zeros(1, 21, side, side)
    heatmaps[0, :2] = -distance * side**2 / (2 * 1.5**2)
    depths = at[None, None, None].expand(1, 21, side, side)  # as large as x is
    found = points_of(heatmaps, depths)[0]
    torch.testing.assert_close(found[:2, :2], where, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:2, 3], where[:, 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[2:, :3], torch.zeros(19, 3), atol=1e-5, rtol=0)  # no idea: sureness 0
    entropy = torch.log(torch.tensor(2 * torch.pi * torch.e * 1.5**2))  # of that Gaussian
    torch.testing.assert_close(found[0, 2], 1 - entropy / torch.log(torch.tensor(1024.0)), atol=1e-3, rtol=0)


def test_own_points_reach_the_hand(network_with_points: HAMER) -> None:
    network = network_with_points
    features, maps = network.seen(crops())
    plain = network.hands(features, None, maps)["pred_vertices"]
    for number in range(4):
        changed = maps["pred_points"].clone()
        changed[:, 8, number] += 0.1
        assert not torch.allclose(
            plain, network.hands(features, None, {**maps, "pred_points": changed})["pred_vertices"]
        )


def test_points_stay_for_inference(network_with_points: HAMER, tmp_path: Path) -> None:
    loaded = reloaded(network_with_points, tmp_path)
    batch = {"img": crops(), "landmarks": points()}
    assert torch.equal(loaded(batch)["pred_points"], network_with_points(batch)["pred_points"])
    assert torch.equal(loaded(batch)["pred_vertices"], network_with_points(batch)["pred_vertices"])
