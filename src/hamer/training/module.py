"""`HamerModule`: the network as Lightning trains it, step by step as the original does.

Optimisation is manual, with two optimisers a batch: the network's, then the discriminator's. Lightning counts every
optimiser step, so `global_step` rises by 2 a batch, and `GENERAL.TOTAL_STEPS: 1000000` means 500,000 batches, as in the
original; `steps_per_batch` says so for the configuration at hand.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hamer.errors import HamerError, require
from hamer.models.devices import no_autocast
from hamer.models.hamer import HAMER
from hamer.models.loading import start_trunk
from hamer.models.losses import compute_loss
from hamer.models.mano_wrapper import MANO
from hamer.training import adapters, adversary, checkpointing, sharding
from hamer.training.averaging import WeightAverage
from hamer.training.hand_errors import HandErrors
from hamer.training.optimisers import build_optimisers, choose_fused, generator_parameters, own_states
from hamer.training.options import TrainingOptions

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule
    from torch.optim import Optimizer
else:
    LightningModule = require("lightning.pytorch", extra="train", purpose="training").LightningModule

logger = logging.getLogger(__name__)

Previews = Callable[["HamerModule", Mapping[str, Any], Mapping[str, Any], str], None]
"""What draws: called with the module, a batch, the network's output for it, and "train" or "val"."""


class NonFiniteLossError(HamerError, ArithmeticError):
    """A loss or a gradient became NaN or infinite; the batch is `HamerModule.failed_batch`."""


class HamerModule(HAMER, LightningModule):
    """HAMER with a training step. Being a HAMER, its state dict has the original's names, in every Lightning strategy.

    Args:
        cfg: the whole configuration tree, interpolations resolved; `TrainingOptions.from_cfg` reads the training's part.
        mano: the hand; None reads `cfg.MANO.MODEL_PATH`.
        mean_params: None reads `cfg.MANO.MEAN_PARAMS`.
        previews: draws a batch every `GENERAL.LOG_STEPS` steps and for the first batch of a validation; None draws
            nothing.

    Attributes:
        training_parts: beginnings of names of tensors that only the training needs: a checkpoint keeps them apart, so that
            `state_dict` is a plain HaMeR.
        options: the training's choices.
        average: the moving average of the weights, or None without TRAIN.EMA.
        failed_batch: the joint batch whose loss was not finite, for whoever handles the error; else None.
    """

    training_parts: tuple[str, ...] = ()

    def __init__(
        self,
        cfg: Mapping[str, Any],
        *,
        mano: MANO | None = None,
        mean_params: Mapping[str, np.ndarray] | None = None,
        previews: Previews | None = None,
    ) -> None:
        super().__init__(cfg, mano=mano, mean_params=mean_params)
        # A hand straight from its file and one from a checkpoint's float32 buffers differ in the last bit. Taking the
        # second from the start makes a resumed training equal to one that was never interrupted.
        self.mano.load_state_dict(self.mano.state_dict())
        self.automatic_optimization = False
        self.options = TrainingOptions.from_cfg(self.cfg)
        self.mano_head.gradient_limit = self.options.hand_grad_clip_val
        self.previews = previews
        self.failed_batch: Mapping[str, Any] | None = None
        self.average = WeightAverage(self.options.ema) if self.options.ema > 0 else None
        self._errors = HandErrors(self.options.root)
        start_trunk(self.backbone)
        adapters.prepare_backbone(self.backbone, self.options)
        # Read by DistributedDataParallel; see hamer.training.adversary.
        self._ddp_params_and_buffers_to_ignore = [
            n for n, _ in self.named_parameters() if n.startswith("discriminator.")
        ]

    @property
    def steps_per_batch(self) -> int:
        """How much `global_step` rises a batch: 2, or 1 without a discriminator."""
        return 2 if self.config.with_discriminator else 1

    # ------------------------------------------------------------------------------------------- set-up

    def configure_model(self) -> None:
        """Lay out, compile and shard the network where asked to. Called again by Lightning for each stage."""
        if self.options.channels_last:
            self.to(memory_format=torch.channels_last)
        adapters.compile_backbone(self.backbone, self.options)
        mesh = getattr(self, "_device_mesh", None)
        if self.average is not None and mesh is not None:
            raise ValueError("TRAIN.EMA must be left out with trainer=fsdp: an average of sharded weights is not kept")
        sharding.shard(self, mesh)

    def configure_optimizers(self) -> list[Optimizer]:
        """AdamW for head and backbone, AdamW for the discriminator."""
        is_scaled = self._gradient_scaler() is not None
        if is_scaled and self.options.hand_grad_clip_val is not None:
            raise ValueError(
                "TRAIN.HAND_GRAD_CLIP_VAL must be left out with trainer.precision=16-mixed, whose gradients are multiplied on "
                "their way: take bf16-mixed or 32-true"
            )
        fused = choose_fused(self.options, self.device, scaled=is_scaled)
        return list(build_optimisers(self, self.options, fused=fused))

    def on_fit_start(self) -> None:
        """Processes begin with one discriminator: nothing else would make their copies equal."""
        if self.config.with_discriminator:
            adversary.start_alike(self.discriminator)

    def on_train_start(self) -> None:
        """Let go of the checkpoint's file, which later ones replace."""
        for optimiser in self._optimisers():
            own_states(getattr(optimiser, "optimizer", optimiser))
        if self.average is not None:
            self.average.begin(self)

    def train(self, mode: bool = True) -> HamerModule:
        """As every module's; a frozen backbone, or the frozen part of one, stays in evaluation mode (no drop path)."""
        super().train(mode)
        adapters.rest_frozen_parts(self.backbone)
        return self

    # ------------------------------------------------------------------------------------------- steps

    def training_step(self, joint_batch: Mapping[str, Any], batch_idx: int = 0) -> dict[str, Any]:
        """One update of the network, one of the discriminator.

        Args:
            joint_batch: `img`, the batch of crops with their annotations (`hamer.models.losses.compute_loss`), and
                `mocap`: `hand_pose` (2 B, 45) axis-angle and `betas` (2 B, 10) of captured hands.
            batch_idx: not used.

        Returns:
            the network's output, detached, with `losses`: unweighted parts, and `loss`, the weighted sum without
            the adversarial term, as the original reports it.

        Raises:
            NonFiniteLossError: before anything was changed by this batch.
        """
        batch = self.options.crop_exchange(self._with_landmark_noise(joint_batch["img"]))
        self._require_captured(joint_batch)
        self._set_rates()
        for optimiser in self._optimisers():
            optimiser.zero_grad()  # before the forward pass: the last step's gradients would lie beside its activations
        output = self(batch)
        with self._float32():
            total, losses = self.compute_loss(batch, output)
            if self.config.with_discriminator:
                adversarial = adversary.judged(self.discriminator, output["pred_mano_params"])
                total = total + self.options.adversarial * adversarial
                losses["loss_gen"] = adversarial.detach()
        self._require_finite(total, losses, joint_batch)
        self._update_network(total, joint_batch)
        if self.config.with_discriminator:
            losses["loss_disc"] = self._update_discriminator(output["pred_mano_params"], joint_batch["mocap"])
        output = _detached(output) | {"losses": losses}
        self._report(batch, output)
        return output

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int = 0, dataloader_idx: int = 0) -> dict[str, Any]:
        """Losses of a batch, logged as `val/...`; the first batch is drawn. Returns as `training_step`."""
        batch = batch["img"] if isinstance(batch["img"], Mapping) else batch
        output = self(batch)
        with self._float32():
            _, losses = self.compute_loss(batch, output)
            self._errors.add(batch, output, self.mano)
        names = {f"val/{name}": value for name, value in losses.items()}
        self.log_dict(names, on_step=False, on_epoch=True, batch_size=len(batch["img"]), sync_dist=True, logger=False)
        output = _detached(output) | {"losses": losses}
        if batch_idx == 0 and self.previews is not None:
            self.previews(self, batch, output, "val")
        return output

    def on_validation_start(self) -> None:
        """What is validated is the average, where there is one."""
        if self.average is not None:
            self.average.show(self)

    def on_validation_end(self) -> None:
        """Training goes on with the weights themselves."""
        if self.average is not None:
            self.average.hide(self)

    def on_validation_epoch_end(self) -> None:
        """Hand the means of the validation to the loggers, placed at `global_step` as the training's are."""
        errors = {f"val/{name}": value for name, value in self._errors.means(self._summed).items()}
        self.log_dict(errors, logger=False)  # the same in every process
        means = {name: float(v) for name, v in self.trainer.callback_metrics.items() if name.startswith("val/")}
        self._log_at_global_step(means | errors)

    def compute_loss(self, batch: Mapping[str, Any], output: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum that the network minimises, without the adversarial term, and its parts; for subclasses."""
        return compute_loss(output, batch, self.options.loss_weights, root=self.options.root, hand=self.mano)

    def _update_network(self, loss: Tensor, joint_batch: Mapping[str, Any]) -> None:
        self._gradient_batch = joint_batch if self.options.grad_clip_val > 0 else None
        self.manual_backward(loss)
        self._optimisers()[0].step()
        self._gradient_batch = None
        if self.average is not None:
            self.average.update(self)

    def _update_discriminator(self, estimated: Mapping[str, Tensor], captured: Mapping[str, Tensor]) -> Tensor:
        with self._float32():
            loss = adversary.adversary_loss(self.discriminator, estimated, captured)
        with self._unsynchronised():
            self.manual_backward(self.options.adversarial * loss)
        adversary.average_gradients(self.discriminator)
        self._optimisers()[1].step()
        return loss.detach()

    def _with_landmark_noise(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        noise = self.options.landmark_noise
        if noise.is_none or "landmarks" not in batch:
            return batch
        changed = noise(batch["landmarks"], batch["keypoints_2d"], batch["keypoints_3d"])
        return {**batch, "landmarks": changed}

    def _set_rates(self) -> None:
        """The learning rate of this update; without a schedule it stays what the optimisers or their checkpoint say."""
        schedule = self.options.schedule
        if schedule.is_constant:
            return
        rate = self.options.lr * schedule.factor(self.global_step // self.steps_per_batch)
        for optimiser in self._optimisers():
            for group in optimiser.param_groups:
                group["lr"] = rate

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the network's gradient. Lightning calls this after it has taken out the scale of float16."""
        batch = getattr(self, "_gradient_batch", None)
        if batch is None:  # no clipping, or the discriminator's turn
            return
        norm = torch.nn.utils.clip_grad_norm_(generator_parameters(self).values(), self.options.grad_clip_val)
        size = len(batch["img"]["img"])
        self.log("train/grad_norm", norm, on_step=True, on_epoch=True, prog_bar=True, batch_size=size)
        if self._gradient_scaler() is None and not bool(norm.isfinite()):  # a scaler skips such steps by itself
            self.failed_batch = batch
            raise NonFiniteLossError(f"the gradient's norm must be finite, got {float(norm)}{self._where()}")

    def _require_finite(self, total: Tensor, losses: Mapping[str, Tensor], joint_batch: Mapping[str, Any]) -> None:
        if bool(total.isfinite()):
            return
        self.failed_batch = joint_batch
        values = ", ".join(f"{name} {float(value):g}" for name, value in losses.items())
        raise NonFiniteLossError(
            f"the loss must be finite, got {float(total.detach()):g} ({values}){self._where()}. Look at the batch's keypoints and "
            "parameters; else lower TRAIN.LR, set TRAIN.GRAD_CLIP_VAL, or train in bf16-mixed instead of 16"
        )

    def _require_captured(self, joint_batch: Mapping[str, Any]) -> None:
        if self.config.with_discriminator and "mocap" not in joint_batch:
            raise ValueError(
                "the discriminator learns from captured poses: batches must have 'mocap' beside 'img' (DATASETS.MOCAP), or "
                "LOSS_WEIGHTS.ADVERSARIAL must be 0"
            )

    def _where(self) -> str:
        return f" at global_step {self.global_step}"

    # ------------------------------------------------------------------------------------------- reports

    def _report(self, batch: Mapping[str, Any], output: Mapping[str, Any]) -> None:
        """Progress bar every step; loggers and pictures every LOG_STEPS, at the original's places on the axis."""
        losses = output["losses"]
        self.log(
            "train/loss", losses["loss"], on_step=True, on_epoch=True, prog_bar=True, logger=False,
            batch_size=len(batch["img"]),
        )  # fmt: skip
        if self.global_step > 0 and self.global_step % self.options.log_steps == 0:
            values = {f"train/{name}": float(value) for name, value in losses.items()}
            if not self.options.schedule.is_constant:
                values["train/lr"] = self._optimisers()[0].param_groups[0]["lr"]
            self._log_at_global_step(values)
            if self.previews is not None:
                self.previews(self, batch, output, "train")

    def _log_at_global_step(self, values: Mapping[str, float]) -> None:
        for each in self.loggers:
            each.log_metrics(dict(values), step=self.global_step)

    # ------------------------------------------------------------------------------------------- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Give the checkpoint the original's form (`hamer.training.checkpointing`)."""
        checkpointing.finish(checkpoint, self)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make a checkpoint of ours or of the original fit this module, its frozen parts and its optimisers."""
        checkpointing.adopt(checkpoint, self)

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path, *_: Any, **arguments: Any) -> HamerModule:  # type: ignore[override]
        """A module with the weights of a checkpoint, to train on or to evaluate; see `checkpointing.load_module`."""
        return checkpointing.load_module(cls, checkpoint_path, **arguments)

    # ------------------------------------------------------------------------------------------- Lightning's parts

    def _optimisers(self) -> list[Any]:
        optimisers = self.optimizers()
        return optimisers if isinstance(optimisers, list) else [optimisers]

    def _float32(self) -> AbstractContextManager[Any]:
        """Losses and the discriminator leave automatic half precision: sums over a batch overflow float16."""
        return no_autocast(self.device)

    def _summed(self, values: Tensor) -> Tensor:
        """The sum over all processes, float32 on its way: Apple's GPUs have no float64."""
        summed: Tensor = self.trainer.strategy.reduce(values.float().to(self.device), reduce_op="sum")
        return summed.cpu()

    def _unsynchronised(self) -> AbstractContextManager[Any]:
        """A backward pass that a wrapper around the network does not see."""
        block = getattr(self.trainer.strategy, "block_backward_sync", None)
        return nullcontext() if block is None else block()

    def _gradient_scaler(self) -> Any:
        return None if self._trainer is None else getattr(self.trainer.precision_plugin, "scaler", None)


def _detached(tree: Any) -> Any:
    """`tree` of dicts and tensors, cut off from the graph that made it, whose memory is then free."""
    if isinstance(tree, Mapping):
        return {key: _detached(value) for key, value in tree.items()}
    return tree.detach() if isinstance(tree, Tensor) else tree
