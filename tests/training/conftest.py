"""The small network of golden/hamer_small as a module that trains, and the batch of its golden step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer.checkpoints.hand_files import read_mano
from hamer.configs.node import ConfigNode
from hamer.models import MANO
from hamer.models.mano_head import read_mean_params
from hamer.training.module import HamerModule

NOT_FILLED = ("mano.", "mano_head.init_")  # these come from files, see the golden README


def tensors(file: Any, start: str) -> dict[str, Any]:
    """The arrays whose dotted names begin with `start`, as nested dicts of tensors."""
    tree: dict[str, Any] = {}
    for name in file.files:
        if name.startswith(start):
            node = tree
            *parents, last = name.removeprefix(start).split(".")
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = torch.from_numpy(file[name])
    return tree


def fill(fill_one: Callable[..., np.ndarray], module: torch.nn.Module) -> None:
    """The made-up weights that the golden step was computed with."""
    for name, value in module.state_dict().items():
        if value.is_floating_point() and not name.startswith(NOT_FILLED) and ".lora_" not in name:
            value.copy_(torch.from_numpy(fill_one(name, tuple(value.shape))))


@pytest.fixture(scope="session")
def golden_cfg(golden: Path) -> Callable[..., ConfigNode]:
    """Makes the configuration of a golden step: `golden_cfg("hamer_small", {...changes})`."""
    from omegaconf import OmegaConf

    def make(size: str = "hamer_small", changes: Mapping[str, Any] | None = None) -> ConfigNode:
        cfg = ConfigNode(OmegaConf.to_container(OmegaConf.load(golden / "hamer" / "model_config.yaml"), resolve=False))
        del cfg.MODEL.BACKBONE.PRETRAINED_WEIGHTS, cfg.trainer, cfg.paths
        if size == "hamer_small":
            cfg.MODEL.BACKBONE.update(EMBED_DIM=192, DEPTH=2, NUM_HEADS=3)
            cfg.MODEL.MANO_HEAD.TRANSFORMER_DECODER.update(depth=2, context_dim=192)
        folder = golden / "hamer"
        cfg.MANO.update(MODEL_PATH=str(folder / "mano"), MEAN_PARAMS=str(folder / "mano_mean_params.npz"))
        cfg.merge(changes or {})
        return cfg

    return make


@pytest.fixture(scope="session")
def golden_module(
    golden: Path, fill_one: Callable[..., np.ndarray], golden_cfg: Callable[..., ConfigNode]
) -> Callable[..., HamerModule]:
    """Makes a module with the golden weights: `golden_module({"TRAIN": {"BACKBONE": "frozen"}})`."""

    def make(changes: Mapping[str, Any] | None = None, size: str = "hamer_small", **arguments: Any) -> HamerModule:
        folder = golden / "hamer"
        hand, mean = MANO(read_mano(folder / "mano")), read_mean_params(folder / "mano_mean_params.npz")
        module = HamerModule(golden_cfg(size, changes), mano=hand, mean_params=mean, **arguments)
        fill(fill_one, module)
        return module

    return make


@pytest.fixture(scope="session")
def step(golden: Path) -> Any:
    """golden/hamer_small/train_step.npz."""
    return np.load(golden / "hamer_small" / "train_step.npz")


@pytest.fixture(scope="session")
def golden_batch(golden: Path, step: Any) -> dict[str, Any]:
    """The joint batch of the golden step, with its pictures; the same for both sizes."""
    pictures = np.load(golden / "hamer" / "preprocess.npz")["img"][step["img_index_in_preprocess"]]
    return {
        "img": {**tensors(step, "batch."), "img": torch.from_numpy(pictures.astype(np.float32))},
        "mocap": tensors(step, "mocap."),
    }


@pytest.fixture(scope="session")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Makes a quiet trainer on the CPU that saves nothing by itself."""
    from lightning.pytorch import Trainer

    from hamer.training.checkpointing import SafeCheckpointIO

    def make(**arguments: Any) -> Any:
        quiet = {
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "default_root_dir": tmp_path_factory.mktemp("trainer"),
            "plugins": [SafeCheckpointIO()],
        }
        return Trainer(**{**quiet, **arguments})

    return make


class Repeated:
    """One joint batch, a number of times, as a data loader gives batches."""

    def __init__(self, batch: Mapping[str, Any], times: int) -> None:
        self.batch, self.times = batch, times

    def __len__(self) -> int:
        return self.times

    def __iter__(self) -> Iterator[Any]:
        return (copy.deepcopy(self.batch) for _ in range(self.times))


@pytest.fixture(scope="session")
def repeated() -> type[Repeated]:
    """The class `Repeated`, for tests to call."""
    return Repeated
