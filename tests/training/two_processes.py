"""A few steps of a tiny network in several processes; `test_several_processes.py` starts it.

    python two_processes.py {single,ddp,fsdp} OUTPUT [CHECKPOINT]

Each process has its own batches. Writes a checkpoint to OUTPUT, and beside it, process by process, the parameters.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy

from hamer.checkpoints.hand_files import load_open_hand
from hamer.configs.node import ConfigNode
from hamer.models import MANO, HamerConfig, ViTConfig
from hamer.models.config import DecoderConfig
from hamer.models.mano_head import neutral_mean_params
from hamer.training.checkpointing import SafeCheckpointIO
from hamer.training.module import HamerModule
from hamer.training.sharding import ShardedStrategy

PARAMETERS = ("global_orient", "hand_pose", "betas")


def tiny_module() -> HamerModule:
    """The same in every process: nothing in it is random but for the seed."""
    head = DecoderConfig(width=64, depth=1, heads=2, dim_head=16, mlp_dim=32, context_dim=48)
    config = HamerConfig(ViTConfig(48, 2, 3, drop_path_rate=0.0), head, with_discriminator=True)
    cfg = ConfigNode(config.to_cfg().to_dict())
    weights = {"KEYPOINTS_3D": 0.05, "KEYPOINTS_2D": 0.01, "GLOBAL_ORIENT": 0.001, "HAND_POSE": 0.001, "BETAS": 0.0005}
    cfg.merge({"LOSS_WEIGHTS": weights, "TRAIN": {"LR": 1e-4}})
    torch.manual_seed(0)
    return HamerModule(cfg, mano=MANO(load_open_hand()), mean_params=neutral_mean_params())


def made_up_batch(seed: int, n: int = 2) -> dict[str, Any]:
    """A joint batch of noise."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return 0.3 * torch.randn(*shape, generator=generator)

    mano = {"global_orient": noise(n, 3), "hand_pose": noise(n, 45), "betas": noise(n, 10)}
    batch = {
        "img": noise(n, 3, 256, 256),
        "keypoints_2d": torch.cat([noise(n, 21, 2), torch.ones(n, 21, 1)], -1),
        "keypoints_3d": torch.cat([0.1 * noise(n, 21, 3), torch.ones(n, 21, 1)], -1),
        "mano_params": mano,
        "has_mano_params": {name: torch.ones(n) for name in PARAMETERS},
        "mano_params_is_axis_angle": {name: torch.full((n,), name != "betas") for name in PARAMETERS},
    }
    return {"img": batch, "mocap": {"hand_pose": noise(2 * n, 45), "betas": noise(2 * n, 10)}}


class Batches:
    """Two batches, other ones in each process."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[Any]:
        return (made_up_batch(10 * self.rank + i) for i in range(2))


def main() -> None:
    torch.set_num_threads(1)
    kind, output = sys.argv[1], Path(sys.argv[2])
    checkpoint = sys.argv[3] if len(sys.argv) > 3 else None
    rank = int(os.environ.get("LOCAL_RANK", 0))
    strategies: dict[str, Any] = {"single": "auto", "ddp": DDPStrategy(), "fsdp": ShardedStrategy()}
    trainer = Trainer(
        accelerator="cpu",
        devices=1 if kind == "single" else 2,
        strategy=strategies[kind],
        max_steps=4 if checkpoint is None else 8,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[SafeCheckpointIO()],
    )
    module = tiny_module()
    trainer.fit(module, Batches(rank), ckpt_path=checkpoint)
    trainer.save_checkpoint(output)
    whole = {name: p.full_tensor() if hasattr(p, "full_tensor") else p for name, p in module.named_parameters()}
    torch.save({name: value.detach() for name, value in whole.items()}, output.with_suffix(f".{rank}.pt"))


if __name__ == "__main__":
    main()
