"""One step through Lightning's trainer equals one step of the original's training."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback

from hamer.training.module import HamerModule, NonFiniteLossError

LOSSES, GRADIENTS, DELTAS = 1e-5, 1e-4, 2e-7  # the golden README's; two runs of the original differ by 1e-6


class Witness(Callback):
    """Keeps what a step passes by: gradients of each optimiser before its update, and the step's result."""

    def __init__(self) -> None:
        self.gradients: dict[str, torch.Tensor] = {}
        self.optimised: list[set[str]] = []
        self.outputs: list[Any] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        mine = {id(p) for group in optimizer.param_groups for p in group["params"]}
        named = {name: p for name, p in pl_module.named_parameters() if id(p) in mine}
        self.optimised.append(set(named))
        self.gradients |= {name: p.grad.clone() for name, p in named.items()}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.outputs.append(outputs)


def golden_step(module: HamerModule, batch: Any, trainer: Any, repeated: Any, file: Any, norms: dict[str, Any]) -> None:
    """Run one step and compare all that the golden folder has of it."""
    module.train()
    module.backbone.eval()  # as the golden step: no drop path
    before = {name: p.detach().clone() for name, p in module.named_parameters() if f"step.delta.{name}" in file.files}
    witness = Witness()
    run = trainer(max_steps=2, callbacks=[witness])
    run.fit(module, repeated(batch, 1))
    assert run.global_step == 2
    (output,) = witness.outputs

    losses = {name.removeprefix("step.losses."): file[name] for name in file.files if name.startswith("step.losses.")}
    assert output["losses"].keys() == losses.keys()
    for name, value in losses.items():
        np.testing.assert_allclose(output["losses"][name], value, rtol=LOSSES, err_msg=name)
    np.testing.assert_allclose(output["pred_vertices"], file["output.pred_vertices"], atol=2e-5)

    assert witness.gradients.keys() == norms["parameters"].keys() - {"(discriminator, from the generator's loss)"}
    for name, gradient in witness.gradients.items():
        # What is zero but for rounding: keys that only meet a softmax over one entry, the weight of a zero input.
        # In double precision: torch's float32 norm of 5 million entries is off by 3e-4 on a CPU.
        np.testing.assert_allclose(
            gradient.double().norm(), norms["parameters"][name], rtol=GRADIENTS, atol=1e-9, err_msg=name
        )
    for key in (name for name in file.files if name.startswith("step.grad.")):
        expected = file[key]
        gradient = witness.gradients[key.removeprefix("step.grad.")]
        np.testing.assert_allclose(
            gradient, expected, rtol=GRADIENTS, atol=GRADIENTS * np.abs(expected).max(), err_msg=key
        )
    after = dict(module.named_parameters())
    for name, start in before.items():
        expected = file[f"step.delta.{name}"]
        # Adam's first step is near lr * sign(g): where g is rounding noise, so is its sign
        clear = np.abs(file[f"step.grad.{name}"]) > 1e-6
        assert clear.mean() > 0.5, name
        delta = (after[name].detach() - start).numpy()
        np.testing.assert_allclose(delta[clear], expected[clear], atol=DELTAS, rtol=0, err_msg=name)


def test_a_step_is_the_original_s(
    golden: Path, golden_module: Any, golden_batch: Any, step: Any, trainer: Any, repeated: Any
) -> None:
    norms = json.loads((golden / "hamer_small" / "train_step_grad_norms.json").read_text())
    golden_step(golden_module(), golden_batch, trainer, repeated, step, norms)


@pytest.mark.slow  # ViT-H: 11 GB
def test_a_step_of_the_published_size_is_the_original_s(
    golden: Path, golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    norms = json.loads((golden / "hamer" / "train_step_grad_norms.json").read_text())
    file = np.load(golden / "hamer" / "train_step.npz")
    golden_step(golden_module(size="hamer"), golden_batch, trainer, repeated, file, norms)


def test_reported_loss_leaves_out_the_adversary(
    golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    witness = Witness()
    module = golden_module({"LOSS_WEIGHTS": {"ADVERSARIAL": 100.0}})
    trainer(max_steps=2, callbacks=[witness]).fit(module, repeated(golden_batch, 1))
    losses, weights = witness.outputs[0]["losses"], module.options.loss_weights
    parts = ("KEYPOINTS_2D", "KEYPOINTS_3D", "GLOBAL_ORIENT", "HAND_POSE", "BETAS")
    expected = sum(weights[name] * losses[f"loss_{name.lower()}"] for name in parts)
    torch.testing.assert_close(losses["loss"], expected)


def test_trains_without_an_adversary(golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any) -> None:
    """The original's set-up fails here."""
    module = golden_module({"LOSS_WEIGHTS": {"ADVERSARIAL": 0.0}})
    assert not hasattr(module, "discriminator")
    run = trainer(max_steps=3)
    run.fit(module, repeated({"img": golden_batch["img"]}, 3))  # and no mocap is needed
    assert run.global_step == 3 == 3 * module.steps_per_batch


def test_the_network_s_gradient_is_clipped(golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any) -> None:
    witness = Witness()

    class AfterClipping(Callback):
        norm = 0.0

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            parts = [p.grad for n, p in pl_module.named_parameters() if not n.startswith("discriminator.")]
            self.norm = float(torch.nn.utils.get_total_norm(parts))

    after = AfterClipping()
    module = golden_module({"TRAIN": {"GRAD_CLIP_VAL": 0.5}})
    run = trainer(max_steps=2, callbacks=[witness, after])
    run.fit(module, repeated(golden_batch, 1))
    assert after.norm == pytest.approx(0.5, rel=1e-4)
    assert float(run.callback_metrics["train/grad_norm"]) > 1  # what it was before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_batch(
    value: float, golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    batch = copy.deepcopy(golden_batch)
    batch["img"]["keypoints_2d"][1, 3, 0] = value
    module = golden_module()
    before = module.mano_head.deccam.weight.detach().clone()
    with pytest.raises(NonFiniteLossError, match="loss_keypoints_2d"):
        trainer(max_steps=2).fit(module, repeated(batch, 1))
    assert not module.failed_batch["img"]["keypoints_2d"].isfinite().all()
    assert torch.equal(module.mano_head.deccam.weight, before)


def test_losses_and_pictures_come_every_log_steps(
    golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    from lightning.pytorch.loggers.logger import DummyLogger

    class Remembering(DummyLogger):
        def __init__(self) -> None:
            super().__init__()
            self.rows: list[tuple[int, set[str]]] = []

        def log_metrics(self, metrics: Any, step: Any = None, **_: Any) -> None:
            self.rows.append((step, set(metrics)))

    drawn: list[tuple[str, int]] = []
    previews: Callable[..., None] = lambda module, batch, output, stage: drawn.append((stage, module.global_step))  # noqa: E731
    module = golden_module({"GENERAL": {"LOG_STEPS": 4}}, previews=previews)
    log = Remembering()
    run = trainer(max_steps=8, logger=log, val_check_interval=4, limit_val_batches=2)
    run.fit(module, repeated(golden_batch, 4), repeated(golden_batch["img"], 3))
    assert drawn == [("train", 4), ("train", 8), ("val", 8)]
    ours = [(step, names) for step, names in log.rows if any(name.startswith(("train/", "val/")) for name in names)]
    assert [step for step, _ in ours] == [4, 8, 8]
    assert {"train/loss", "train/loss_keypoints_2d", "train/loss_gen", "train/loss_disc"} <= ours[0][1]
    assert "val/loss" in ours[2][1]
    assert "val/loss" in run.callback_metrics  # what top-k checkpoints look at


def test_bfloat16_leaves_head_and_losses_in_float32(
    golden_module: Any, golden_batch: Any, trainer: Any, repeated: Any
) -> None:
    witness, exact = Witness(), Witness()
    for precision, seen in (("bf16-mixed", witness), ("32-true", exact)):
        module = golden_module()
        module.backbone.eval()
        trainer(max_steps=2, precision=precision, callbacks=[seen]).fit(module, repeated(golden_batch, 1))
    low, full = witness.outputs[0], exact.outputs[0]
    assert low["pred_vertices"].dtype == low["losses"]["loss"].dtype == torch.float32
    assert not torch.equal(low["pred_vertices"], full["pred_vertices"])  # the backbone did round
    # bfloat16 has 8 bits: features off by 2^-8 of their size; in float32 heads that stays a small part of the loss
    torch.testing.assert_close(low["losses"]["loss"], full["losses"]["loss"], rtol=0.02, atol=0)
    assert all(g.dtype == torch.float32 for g in witness.gradients.values())
