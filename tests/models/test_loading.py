"""`load_hamer`: the original's checkpoint folder, safetensors, and files that do not fit."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer.checkpoints.weights import read_weights, write_safetensors
from hamer.errors import HamerError, WeightsError
from hamer.models import HAMER, HamerConfig, ViTConfig, build_hamer, load_hamer, load_network
from hamer.models.loading import load_backbone
from hamer.models.mano_head import MEAN_BOX_SIDE
from hamer.models.vit import ViT


def change(checkpoint: Path, edit: Any) -> None:
    """Save the checkpoint again after `edit` changed its tensors."""
    tensors = dict(read_weights(checkpoint).tensors)
    edit(tensors)
    torch.save({"state_dict": {name: value.clone() for name, value in tensors.items()}}, checkpoint)


def same_weights(a: HAMER, b: HAMER) -> bool:
    mine, other = a.state_dict(), b.state_dict()
    return mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)


def test_a_training_checkpoint_loads(checkpoint: Path, small: HAMER) -> None:
    model, cfg = load_hamer(checkpoint)
    assert same_weights(model, small)
    assert not model.training
    assert cfg.MODEL.BBOX_SHAPE == [192, 256]
    assert "PRETRAINED_WEIGHTS" not in cfg.MODEL.BACKBONE
    assert cfg.is_frozen()
    assert model.cfg is cfg
    assert model.device == torch.device("cpu")
    np.testing.assert_array_equal(model.mano.faces, small.mano.faces)
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))


def test_a_given_crop_shape_is_kept(checkpoint: Path) -> None:
    config = checkpoint.parent.parent / "model_config.yaml"
    config.write_text(config.read_text().replace("IMAGE_SIZE: 256", "IMAGE_SIZE: 256\n  BBOX_SHAPE: [256, 256]"))
    assert load_hamer(checkpoint)[1].MODEL.BBOX_SHAPE == [256, 256]


def test_null_is_like_nothing_said(checkpoint: Path) -> None:
    config = checkpoint.parent.parent / "model_config.yaml"
    config.write_text(config.read_text().replace("    TYPE: vit\n", "    TYPE: vit\n    IMAGE_SIZE: null\n"))
    cfg = load_hamer(checkpoint)[1]
    assert cfg.MODEL.BACKBONE.IMAGE_SIZE is None
    assert cfg.MODEL.BBOX_SHAPE == [192, 256]


def test_without_the_yaml_the_configuration_inside_is_taken(checkpoint: Path, small: HAMER) -> None:
    (checkpoint.parent.parent / "model_config.yaml").unlink()
    model, cfg = load_hamer(checkpoint)
    assert same_weights(model, small)
    assert cfg.LOSS_WEIGHTS.ADVERSARIAL == 0.0005


def test_without_any_configuration_the_error_says_where_it_belongs(checkpoint: Path) -> None:
    change(checkpoint, lambda tensors: None)
    (checkpoint.parent.parent / "model_config.yaml").unlink()
    with pytest.raises(FileNotFoundError, match=r"model_config\.yaml"):
        load_hamer(checkpoint)


def test_load_from_checkpoint_as_the_original_calls_it(checkpoint: Path, small: HAMER) -> None:
    _, cfg = load_hamer(checkpoint)
    model = HAMER.load_from_checkpoint(str(checkpoint), strict=False, cfg=cfg, map_location="cpu")
    assert same_weights(model, small)


def test_the_default_checkpoint_follows_the_data_folder(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hamer.models

    folder = tmp_path / "data" / "hamer_ckpts"
    folder.parent.mkdir()
    checkpoint.parent.parent.rename(folder)
    monkeypatch.setenv("HAMER_DATA", str(tmp_path / "data"))
    assert Path(hamer.models.DEFAULT_CHECKPOINT) == folder / "checkpoints" / "hamer.ckpt"
    load_hamer()
    monkeypatch.delenv("HAMER_DATA")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAMER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "_DATA").mkdir(parents=True)
    folder = folder.rename(tmp_path / "cache" / "_DATA" / "hamer_ckpts")
    load_hamer(hamer.models.DEFAULT_CHECKPOINT)  # a download went to the cache
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match="hamer fetch"):
        load_hamer()


def test_weights_without_mano_take_the_file(checkpoint: Path, golden: Path, small: HAMER, monkeypatch: Any) -> None:
    change(checkpoint, lambda tensors: [tensors.pop(name) for name in list(tensors) if name.startswith("mano.")])
    monkeypatch.setenv("HAMER_DATA", str(checkpoint.parents[2]))
    with pytest.raises(FileNotFoundError, match="MANO"):
        load_hamer(checkpoint)
    (checkpoint.parents[2] / "data").mkdir()
    shutil.copytree(golden / "hamer" / "mano", checkpoint.parents[2] / "data" / "mano")
    assert same_weights(load_hamer(checkpoint)[0], small)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("backbone.blocks.1.mlp.fc1.weight"), r"missing: backbone\.blocks\.1\.mlp\.fc1\.weight"),
        (lambda t: t.update({"backbone.cls_token": torch.zeros(1)}), r"not in the network: backbone\.cls_token"),
        (lambda t: t.update({"mano_head.deccam.bias": torch.zeros(4)}), r"deccam\.bias \(4,\) instead of \(3,\)"),
        (lambda t: t["backbone.pos_embed"].fill_(torch.nan), r"NaN or infinity in backbone\.pos_embed"),
        (lambda t: t["backbone.pos_embed"][0, 0].fill_(torch.inf), r"NaN or infinity in backbone\.pos_embed"),
        (
            lambda t: [t.pop(name) for name in list(t) if name.startswith("mano_head.init_")],
            r"missing: mano_head\.init",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(checkpoint: Path, edit: Any, message: str) -> None:
    change(checkpoint, edit)
    with pytest.raises(WeightsError, match=message):
        load_hamer(checkpoint)


def test_another_architecture_is_refused(checkpoint: Path) -> None:
    config = checkpoint.parent.parent / "model_config.yaml"
    config.write_text(
        config.read_text().replace("EMBED_DIM: 192", "EMBED_DIM: 384").replace("context_dim: 192", "context_dim: 384")
    )
    with pytest.raises(WeightsError, match=r"of another shape.*model_config\.yaml"):
        load_hamer(checkpoint)
    torch.save({"state_dict": {"conv1.weight": torch.zeros(64, 3, 7, 7)}}, checkpoint)
    with pytest.raises(WeightsError, match=r"HaMeR's network.*got conv1\.weight"):
        load_hamer(checkpoint)


def test_a_missing_adversary_and_mark_are_fine(checkpoint: Path) -> None:
    def edit(tensors: dict[str, torch.Tensor]) -> None:
        for name in [n for n in tensors if n.startswith("discriminator.") or n == "initialized"]:
            del tensors[name]

    change(checkpoint, edit)
    model, _ = load_hamer(checkpoint)
    assert not hasattr(model, "discriminator")
    assert not model.initialized


def test_safetensors_with_the_configuration_beside_it(checkpoint: Path, tmp_path: Path, small: HAMER) -> None:
    path = write_safetensors(tmp_path / "net.safetensors", read_weights(checkpoint).tensors)
    with pytest.raises(FileNotFoundError, match="configuration"):
        load_hamer(path)
    _, cfg = load_hamer(checkpoint)
    path.with_suffix(".json").write_text(json.dumps(cfg.to_dict()))
    assert same_weights(load_hamer(path)[0], small)
    path.with_suffix(".json").unlink()
    (tmp_path / "model_config.yaml").write_text(cfg.dump())
    assert same_weights(load_network(path), small)


def test_loading_copies_no_weights(checkpoint: Path) -> None:
    weights = read_weights(checkpoint).tensors
    model, _ = load_hamer(checkpoint)
    before = model.backbone.blocks[0].mlp.fc1.weight.untyped_storage()
    assert before.nbytes() == weights["backbone.blocks.0.mlp.fc1.weight"].nbytes  # the piece of the file, no more
    with torch.no_grad():
        model.backbone.pos_embed.zero_()  # a private mapping: the file must not change
    assert read_weights(checkpoint).tensors["backbone.pos_embed"].abs().sum() > 0


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_lower_precisions_stay_near(checkpoint: Path, golden: Path, small: HAMER, precision: Any) -> None:
    crops = torch.from_numpy(np.load(golden / "hamer" / "preprocess.npz")["img"][:2])
    model, _ = load_hamer(checkpoint, precision=precision)
    with torch.inference_mode():
        difference = model({"img": crops})["pred_vertices"] - small({"img": crops})["pred_vertices"]
    # 2 blocks of made-up weights; bfloat16 keeps 8 bits, which leaves hundredths of a millimetre
    assert difference.norm(dim=-1).max() < 5e-4
    with pytest.raises(ValueError, match="precision"):
        load_hamer(checkpoint, precision="float8")  # type: ignore[arg-type]


def test_backbones_of_other_programs(tmp_path: Path) -> None:
    config = ViTConfig(32, 1, 2)
    source, target = ViT(config), ViT(config)
    state = source.state_dict()
    for renamed in (
        {f"backbone.{name}": value for name, value in state.items()} | {"keypoint_head.weight": torch.zeros(2)},
        dict(state),
        {name.replace("last_norm", "norm"): value for name, value in state.items()} | {"head.weight": torch.zeros(2)},
    ):
        torch.save({"state_dict": renamed}, tmp_path / "vit.pth")
        target = ViT(config)
        load_backbone(target, tmp_path / "vit.pth")
        assert all(torch.equal(value, state[name]) for name, value in target.state_dict().items())
    torch.save({"state_dict": {"conv.weight": torch.zeros(2)}}, tmp_path / "vit.pth")
    with pytest.raises(HamerError, match="plain ViT"):
        load_backbone(target, tmp_path / "vit.pth")


def test_every_published_size_is_a_configuration() -> None:
    millions = {"S": 22, "B": 86, "L": 304, "H": 632}
    for size, expected in millions.items():
        with torch.device("meta"):
            network = ViT(ViTConfig.of_size(size))  # type: ignore[arg-type]
        assert abs(sum(p.numel() for p in network.parameters()) / 1e6 - expected) < 1.5
        again = HamerConfig.from_cfg(HamerConfig.of_size(size).to_cfg())  # type: ignore[arg-type]
        assert again == HamerConfig.of_size(size)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda cfg: cfg.MODEL.BACKBONE.update(TYPE="resnet50"), "BACKBONE.TYPE"),
        (lambda cfg: cfg.MODEL.BACKBONE.update(NUM_HEADS=7), "multiple of heads"),
        (lambda cfg: cfg.MODEL.update(IMAGE_SIZE=224), "IMAGE_SIZE"),
        (lambda cfg: cfg.MODEL.MANO_HEAD.TRANSFORMER_DECODER.update(context_dim=5), "context_dim"),
        (lambda cfg: cfg.MODEL.MANO_HEAD.TRANSFORMER_DECODER.update(norm="batch"), "norm must be 'layer'"),
        (lambda cfg: cfg.MODEL.MANO_HEAD.TRANSFORMER_DECODER.update(colour="red"), "colour is not known"),
        (lambda cfg: cfg.MODEL.MANO_HEAD.update(TYPE="mlp"), "transformer_decoder"),
        (lambda cfg: cfg.MODEL.MANO_HEAD.update(JOINT_REP="aa"), "6d"),
        (lambda cfg: cfg.MODEL.BACKBONE.update(DEPTH=0), "depth must be a positive"),
    ],
)
def test_configurations_that_make_no_network(edit: Any, message: str) -> None:
    cfg = HamerConfig().to_cfg()
    cfg.defrost()
    edit(cfg)
    with pytest.raises(ValueError, match=message):
        HamerConfig.from_cfg(cfg)


def test_crops_of_another_size_are_refused(small: HAMER) -> None:
    with pytest.raises(ValueError, match=r"batch\['img'\]"):
        small({"img": torch.zeros(1, 3, 224, 224)})
    with pytest.raises(ValueError, match="256, 192"):
        small.backbone(torch.zeros(1, 3, 256, 256))


def test_no_hands_give_empty_results(small: HAMER) -> None:
    with torch.inference_mode():
        output = small({"img": torch.zeros(0, 3, 256, 256)})
    assert output["pred_vertices"].shape == (0, 778, 3)


def test_a_fresh_network_trains_with_checkpointing(small: HAMER) -> None:
    config = HamerConfig.of_size("S")
    tiny = replace(config.backbone, width=32, depth=2, heads=2, gradient_checkpointing=True)
    model = build_hamer(
        replace(config, backbone=tiny, head=replace(config.head, context_dim=32, depth=1)), small.mano.arrays
    )
    output = model.train()({"img": torch.randn(1, 3, 256, 256)})
    (output["pred_vertices"].square().sum() + output["pred_keypoints_2d"].square().sum()).backward()
    gradients = {name for name, p in model.named_parameters() if p.grad is None}
    assert gradients == set()
    assert model.mano_head.init_cam[0, 0] == pytest.approx(2 / (2.0 * MEAN_BOX_SIDE))  # of a crop twice a hand's box
