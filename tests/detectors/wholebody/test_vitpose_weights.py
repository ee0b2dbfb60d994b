"""Weights of every kind that the original's programs leave, and files that are something else."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer.checkpoints.weights import write_safetensors
from hamer.detectors.wholebody.weights import load_network
from hamer.errors import UnsafeFileError, WeightsError
from hamer.models.config import ViTConfig

State = dict[str, torch.Tensor]
_SHARED = 192 - 192 // 4  # a task's expert has a quarter of the rows


def saved(path: Path, state: State, **more: Any) -> Path:
    torch.save({"meta": {"mmcv_version": "1.3.9", "time": "now"}, "state_dict": state, **more}, path)
    return path


def experts(state: State, tasks: range) -> State:
    """Experts of other tasks, as the split leaves them behind."""
    generator = torch.Generator().manual_seed(0)
    return {
        f"backbone.blocks.{block}.mlp.experts.{task}.{kind}": torch.randn(shape, generator=generator)
        for block in range(2)
        for task in tasks
        for kind, shape in (("weight", (192 - _SHARED, 768)), ("bias", (192 - _SHARED,)))
    }


def mixture(state: State) -> State:
    """The six-task mixture whose whole-body task is `state`."""
    mixed = {name: value for name, value in state.items() if not name.startswith("keypoint_head.")}
    mixed |= experts(state, range(6))
    for block in range(2):
        for kind in ("weight", "bias"):
            rows = state[f"backbone.blocks.{block}.mlp.fc2.{kind}"]
            mixed[f"backbone.blocks.{block}.mlp.fc2.{kind}"] = rows[:_SHARED].clone()
            mixed[f"backbone.blocks.{block}.mlp.experts.5.{kind}"] = rows[_SHARED:].clone()
    for name, value in state.items():
        if not name.startswith("keypoint_head."):
            continue
        for task in range(5):
            mixed[f"associate_{name.replace('head.', f'heads.{task}.')}"] = value if task == 4 else value + 1 + task
        mixed[name] = value - 9
    for kind in ("weight", "bias"):
        name = f"keypoint_head.final_layer.{kind}"
        mixed[name] = state[name][:17] + 1  # COCO's own
        whole = f"associate_keypoint_heads.4.final_layer.{kind}"
        mixed[whole] = torch.cat([mixed[whole], state[name][:3]])  # more maps than 133
    return mixed


def assert_same(path: Path, config: ViTConfig, state: State) -> None:
    network = load_network(path, config)
    assert not network.training
    for name, value in network.state_dict().items():
        assert not value.is_meta
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state,
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: state | experts(state, range(6)),
        lambda state: {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")},
        mixture,
        lambda state: {f"module.{name}": value for name, value in mixture(state).items()},
    ],
    ids=["plain", "module prefix", "left experts", "no counters", "mixture", "mixture with prefix"],
)
def test_every_kind_of_file_gives_the_same_network(
    tmp_path: Path, small_state: State, small_config: ViTConfig, change: Callable[[State], State]
) -> None:
    assert_same(saved(tmp_path / "wholebody.pth", change(small_state)), small_config, small_state)


def test_numpy_scalars_optimizers_and_amp_do_no_harm(
    tmp_path: Path, small_state: State, small_config: ViTConfig
) -> None:
    content = {
        "meta": {"mmcv_version": "1.3.9", "best": np.float64(0.61), "epoch": np.int64(210), "config": "model = dict()"},
        "state_dict": small_state,
        "optimizer": {
            "state": {0: {"step": 3, "exp_avg": torch.zeros(2)}},
            "param_groups": [{"lr": 1e-4, "params": [0]}],
        },
        "amp": {"scale": torch.tensor(65536.0)},
    }
    torch.save(content, tmp_path / "epoch_210.pth")
    assert_same(tmp_path / "epoch_210.pth", small_config, small_state)


def test_safetensors_and_half_precision(tmp_path: Path, small_state: State, small_config: ViTConfig) -> None:
    assert_same(write_safetensors(tmp_path / "w.safetensors", small_state), small_config, small_state)
    half = {name: value.half() if value.is_floating_point() else value for name, value in small_state.items()}
    widened = {name: value.float() if value.is_floating_point() else value for name, value in half.items()}
    assert_same(saved(tmp_path / "half.pth", half), small_config, widened)


def test_sizes_are_read_off_the_file(tmp_path: Path, small_state: State) -> None:
    path = saved(tmp_path / "narrow.pth", small_state)
    network = load_network(path)
    assert (len(network.backbone.blocks), network.backbone.blocks[0].attn.heads) == (2, 3)
    odd = {**small_state, "backbone.pos_embed": torch.zeros(1, 193, 100)}
    with pytest.raises(WeightsError, match=r"multiple of 64, got 100; give `config`"):
        load_network(saved(tmp_path / "odd.pth", odd))
    with pytest.raises(WeightsError, match=r"of another shape: backbone\.pos_embed.*hamer fetch vitpose"):
        load_network(path, ViTConfig(384, 2, 6))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("backbone.pos_embed", "mano_head.decpose.weight"), "holds HaMeR's hand network"),
        (("backbone.net.pos_embed", "roi_heads.box_head.0.fc1.weight"), "holds a detectron2 person detector"),
        (("pos_embed", "blocks.0.norm1.weight", "last_norm.weight"), r"must hold ViTPose.*got pos_embed, blocks"),
    ],
)
def test_other_networks_are_named(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    path = saved(tmp_path / "other.pth", {name: torch.zeros(1, 2, 3) for name in names})
    with pytest.raises(WeightsError, match=message + r".*hamer fetch vitpose"):
        load_network(path)


def test_a_detectron2_pickle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model_final.pkl"
    path.write_bytes(pickle.dumps({"model": {"proposal_generator.rpn_head.conv.weight": np.zeros((2, 2), np.float32)}}))
    with pytest.raises(WeightsError, match="holds a detectron2 person detector"):
        load_network(path)


def test_a_network_for_bodies_alone_is_named(tmp_path: Path, small_state: State, small_config: ViTConfig) -> None:
    cut = {k: v[:17] if "final_layer" in k else v for k, v in small_state.items()}
    with pytest.raises(WeightsError, match=r"133 keypoints \(whole body\) and holds one with 17"):
        load_network(saved(tmp_path / "coco.pth", cut), small_config)


def test_a_mixture_without_whole_bodies_is_named(tmp_path: Path, small_state: State, small_config: ViTConfig) -> None:
    mixed = {k: v for k, v in mixture(small_state).items() if not k.startswith("associate_keypoint_heads.4.")}
    with pytest.raises(WeightsError, match="without its whole-body task"):
        load_network(saved(tmp_path / "mixture.pth", mixed), small_config)


def test_missing_tensors_are_listed(tmp_path: Path, small_state: State, small_config: ViTConfig) -> None:
    for lost in ("backbone.blocks.1.attn.qkv.weight", "keypoint_head.final_layer.bias"):
        state = {name: value for name, value in small_state.items() if name != lost}
        with pytest.raises(WeightsError, match=f"missing: {lost}"):
            load_network(saved(tmp_path / "part.pth", state), small_config)
    mixed = {name: value for name, value in mixture(small_state).items() if name != "backbone.blocks.1.mlp.fc2.bias"}
    with pytest.raises(WeightsError, match=r"missing: backbone\.blocks\.1\.mlp\.fc2\.bias"):
        load_network(saved(tmp_path / "part.pth", mixed), small_config)


def test_numbers_that_are_none_are_told(tmp_path: Path, small_state: State, small_config: ViTConfig) -> None:
    name = "keypoint_head.deconv_layers.1.running_var"
    bad = small_state | {name: small_state[name].clone().fill_(float("nan"))}
    with pytest.raises(WeightsError, match=f"NaN or infinity in {name}"):
        load_network(saved(tmp_path / "nan.pth", bad), small_config)


def test_a_file_cut_short(tmp_path: Path, small_file: Path, small_config: ViTConfig) -> None:
    path = tmp_path / "cut.pth"
    path.write_bytes(small_file.read_bytes()[:-5000])
    with pytest.raises(WeightsError, match="broke off"):
        load_network(path, small_config)


class Trap:
    """Makes a folder when a careless reader unpickles it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return Path.mkdir, (self.folder,)


def test_nothing_that_a_file_asks_for_is_executed(tmp_path: Path, small_state: State, small_config: ViTConfig) -> None:
    path = saved(tmp_path / "evil.pth", small_state, extra=Trap(tmp_path / "executed"))
    with pytest.raises(UnsafeFileError):
        load_network(path, small_config)
    assert not (tmp_path / "executed").exists()


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no weights of vitpose at .*none\.pth.*hamer fetch vitpose"):
        load_network(tmp_path / "none.pth")
