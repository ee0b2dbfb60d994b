"""Two processes on the CPU train one network: DDP, and FSDP2, whose checkpoints everyone reads."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from hamer.checkpoints.weights import read_tensors
from hamer.training import adversary
from hamer.training.checkpointing import read_checkpoint
from hamer.training.module import HamerModule

SCRIPT = Path(__file__).with_name("two_processes.py")


def train(kind: str, output: Path, *more: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", str(SCRIPT), kind, str(output), *map(str, more)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert run.returncode == 0, run.stderr[-3000:]


def script() -> Any:
    spec = importlib.util.spec_from_file_location("two_processes", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mean_gradient_steps(module: HamerModule, made_up_batch: Any) -> dict[str, torch.Tensor]:
    """What two processes must come to: every update from the mean of both batches' gradients."""
    network, discriminator = module.configure_optimizers()
    for i in range(2):
        batches = [made_up_batch(10 * rank + i) for rank in range(2)]
        outputs = [module(batch["img"]) for batch in batches]
        network.zero_grad()
        for batch, output in zip(batches, outputs, strict=True):
            loss = module.compute_loss(batch["img"], output)[0]
            loss = loss + module.options.adversarial * adversary.judged(
                module.discriminator, output["pred_mano_params"]
            )
            (loss / 2).backward()
        network.step()
        discriminator.zero_grad()
        for batch, output in zip(batches, outputs, strict=True):
            loss = adversary.adversary_loss(module.discriminator, output["pred_mano_params"], batch["mocap"])
            (module.options.adversarial * loss / 2).backward()
        discriminator.step()
    return {name: p.detach() for name, p in module.named_parameters()}


def assert_alike(
    found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], rtol: float, lr: float = 1e-4
) -> None:
    """Equal, but where a gradient is rounding noise and Adam makes a step of any size up to lr of it."""
    assert found.keys() == expected.keys()
    n_off = sum(int(((found[name] - value).abs() > rtol * lr).sum()) for name, value in expected.items())
    n_all = sum(value.numel() for value in expected.values())
    assert n_off < 0.01 * n_all, f"{n_off} of {n_all} parameters differ by more than {rtol} of a step"


def test_two_processes_train_one_network(tmp_path: Path) -> None:
    train("ddp", tmp_path / "a.ckpt")
    first, second = (read_tensors(tmp_path / f"a.{rank}.pt") for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    tiny = script()
    # sums over two processes are added in another order than here
    assert_alike(first, mean_gradient_steps(tiny.tiny_module(), tiny.made_up_batch), rtol=1e-3)


@pytest.mark.slow  # four runs of two processes
def test_sharded_training_is_the_same_and_its_checkpoints_are_everyone_s(tmp_path: Path) -> None:
    train("ddp", tmp_path / "ddp.ckpt")
    train("fsdp", tmp_path / "fsdp.ckpt")
    assert_alike(read_tensors(tmp_path / "fsdp.0.pt"), read_tensors(tmp_path / "ddp.0.pt"), rtol=1e-3)
    plain, sharded = (read_checkpoint(tmp_path / f"{kind}.ckpt") for kind in ("ddp", "fsdp"))
    assert plain.keys() == sharded.keys()
    assert plain["state_dict"].keys() == sharded["state_dict"].keys()
    for a, b in zip(plain["optimizer_states"], sharded["optimizer_states"], strict=True):
        assert a["param_groups"][0].keys() == b["param_groups"][0].keys()
        for i, state in a["state"].items():
            torch.testing.assert_close(b["state"][i]["exp_avg"], state["exp_avg"], rtol=1e-3, atol=1e-6)
    train("fsdp", tmp_path / "onward_fsdp.ckpt", tmp_path / "ddp.ckpt")
    train("ddp", tmp_path / "onward_ddp.ckpt", tmp_path / "fsdp.ckpt")
    assert_alike(read_tensors(tmp_path / "onward_fsdp.0.pt"), read_tensors(tmp_path / "onward_ddp.0.pt"), rtol=1e-3)
