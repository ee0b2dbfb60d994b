"""A small network with the golden weights, and a checkpoint folder as the original's training leaves one."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamer.checkpoints.hand_files import read_mano
from hamer.models import HAMER, HamerConfig, ViTConfig, build_hamer
from hamer.models.config import DecoderConfig
from hamer.models.mano_head import read_mean_params

NOT_FILLED = ("mano.", "mano_head.init_")  # these come from files, see the golden README


def fill(fill_one: Callable[..., np.ndarray], model: HAMER) -> HAMER:
    """Give `model` the made-up weights that the golden outputs were produced with."""
    state = model.state_dict()
    for name, value in state.items():
        if value.is_floating_point() and not name.startswith(NOT_FILLED):
            value.copy_(torch.from_numpy(fill_one(name, tuple(value.shape))))
    return model


@pytest.fixture(scope="session")
def small_config() -> HamerConfig:
    """The sizes of golden/hamer_small."""
    return HamerConfig(ViTConfig(192, 2, 3), DecoderConfig(depth=2, context_dim=192), with_discriminator=True)


@pytest.fixture(scope="session")
def golden_hamer(golden: Path, fill_one: Callable[..., np.ndarray]) -> Callable[[HamerConfig], HAMER]:
    """Makes a network with the golden MANO file, mean parameters and weights, in evaluation mode."""

    def make(config: HamerConfig) -> HAMER:
        folder = golden / "hamer"
        mean = read_mean_params(folder / "mano_mean_params.npz")
        return fill(fill_one, build_hamer(config, read_mano(folder / "mano"), mean)).eval()

    return make


@pytest.fixture(scope="session")
def small(golden_hamer: Callable[[HamerConfig], HAMER], small_config: HamerConfig) -> HAMER:
    """The network of golden/hamer_small, in evaluation mode; tests must not change it."""
    return golden_hamer(small_config)


@pytest.fixture(scope="session")
def small_cfg(golden: Path) -> dict[str, Any]:
    """Its configuration as a training run of the original would save it: interpolations unresolved."""
    from omegaconf import OmegaConf

    cfg: Any = OmegaConf.to_container(OmegaConf.load(golden / "hamer" / "model_config.yaml"), resolve=False)
    cfg["MODEL"]["BACKBONE"] |= {"EMBED_DIM": 192, "DEPTH": 2, "NUM_HEADS": 3}
    cfg["MODEL"]["MANO_HEAD"]["TRANSFORMER_DECODER"] |= {"depth": 2, "context_dim": 192}
    return cfg


@pytest.fixture
def checkpoint(tmp_path: Path, small: HAMER, small_cfg: dict[str, Any]) -> Path:
    """A checkpoint in the layout of golden/hamer/checkpoint_layout.json, its configuration two folders above."""
    from omegaconf import OmegaConf

    path = tmp_path / "run" / "checkpoints" / "hamer.ckpt"
    path.parent.mkdir(parents=True)
    cfg = OmegaConf.create(small_cfg)
    OmegaConf.save(cfg, path.parent.parent / "model_config.yaml")
    moment = {"step": torch.tensor(1.0), "exp_avg": torch.zeros(3, 4), "exp_avg_sq": torch.zeros(3, 4)}
    torch.save(
        {
            "epoch": 0,
            "global_step": 2,
            "pytorch-lightning_version": "2.6.6",
            "state_dict": OrderedDict(small.state_dict()),
            "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
            "callbacks": {
                "ModelCheckpoint{...}": {"best_model_path": "RUN/last.ckpt", "current_score": torch.tensor(0.0)}
            },
            "optimizer_states": [
                {"state": defaultdict(dict, {0: moment}), "param_groups": [{"lr": 1e-5, "params": [0]}]}
            ],
            "lr_schedulers": [],
            "hparams_name": "kwargs",
            "hyper_parameters": {"cfg": cfg},
        },
        path,
    )
    return path
