"""What a training run may choose beside the network's sizes, typed; each field names its key in the yaml.

The network's own choices live with it: `MODEL.BACKBONE.TYPE`, `GRADIENT_CHECKPOINTING`, `PRETRAINED_WEIGHTS`. Precision,
devices and strategy belong to Lightning's trainer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from hamer.training.crop_exchange import CropExchange
from hamer.training.landmark_noise import LandmarkNoise
from hamer.training.schedule import Schedule

BackboneTraining = Literal["all", "frozen", "lora"]
LoRALayer = Literal["qkv", "proj", "fc1", "fc2"]


@dataclass(frozen=True)
class LoRAOptions:
    """Low-rank adapters of the backbone (`TRAIN.LORA`): RANK, ALPHA, LAYERS.

    A layer computes W x + alpha / rank * B (A x); only A and B are trained (Hu et al., 2022).
    """

    rank: int = 8
    alpha: float = 16.0
    layers: tuple[LoRALayer, ...] = ("qkv", "proj")

    def __post_init__(self) -> None:
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1:
            raise ValueError(f"TRAIN.LORA.RANK must be a positive whole number, got {self.rank!r}")
        unknown = sorted(set(self.layers) - set(get_args(LoRALayer)))
        if unknown or not self.layers:
            raise ValueError(f"TRAIN.LORA.LAYERS must name some of {', '.join(get_args(LoRALayer))}, got {self.layers}")

    @property
    def scale(self) -> float:
        """What the product B A is multiplied by."""
        return self.alpha / self.rank


@dataclass(frozen=True)
class TrainingOptions:
    """Choices of `HamerModule`.

    Attributes:
        lr, weight_decay: `TRAIN.LR`, `TRAIN.WEIGHT_DECAY`, of both optimisers.
        grad_clip_val: `TRAIN.GRAD_CLIP_VAL`, largest norm of the network's gradient; 0 leaves it alone.
        hand_grad_clip_val: `TRAIN.HAND_GRAD_CLIP_VAL`, largest norm of one hand's part of it, at the head's outputs (pose,
            betas, camera, each); None leaves it alone.
        adversarial: `LOSS_WEIGHTS.ADVERSARIAL`; at 0 there is no discriminator and one optimiser.
        loss_weights: `LOSS_WEIGHTS` as a whole.
        root: `EXTRA.PELVIS_IND`, the joint that 3D keypoints are relative to.
        log_steps: `GENERAL.LOG_STEPS`, in units of `global_step`.
        fused: `TRAIN.FUSED`, AdamW as one kernel; None takes it on GPUs, unless float16 gradients are clipped.
        compiled: `TRAIN.COMPILE`, torch.compile of the backbone: False, True, or the name of a mode.
        backbone: `TRAIN.BACKBONE`, which of its weights are trained: "all", "frozen", or adapters only ("lora").
        frozen_blocks: `TRAIN.FROZEN_BLOCKS`, with backbone "all": that many blocks from the picture on (and the
            patch embedding before them) stay as they are.
        lora: `TRAIN.LORA`.
        channels_last: `TRAIN.CHANNELS_LAST`, weights of convolutions with their channels innermost, which is quicker on
            processors and in half precision; only where they lie in memory changes.
        ema: `TRAIN.EMA`, decay of a moving average of the weights (`hamer.training.averaging`); 0 keeps none.
        schedule: `TRAIN.SCHEDULE`, the learning rate over time.
        landmark_noise: `TRAIN.LANDMARK_DROPOUT` and `TRAIN.LANDMARK_NOISE`.
        crop_exchange: `TRAIN.CROP_EXCHANGE`.
    """

    lr: float = 1e-5
    weight_decay: float = 1e-4
    grad_clip_val: float = 0.0
    hand_grad_clip_val: float | None = None
    adversarial: float = 0.0005
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    root: int = 0
    log_steps: int = 1000
    fused: bool | None = None
    compiled: bool | str = False
    backbone: BackboneTraining = "all"
    frozen_blocks: int = 0
    lora: LoRAOptions = field(default_factory=LoRAOptions)
    channels_last: bool = False
    ema: float = 0.0
    schedule: Schedule = field(default_factory=Schedule)
    landmark_noise: LandmarkNoise = field(default_factory=LandmarkNoise)
    crop_exchange: CropExchange = field(default_factory=CropExchange)

    def __post_init__(self) -> None:
        if self.backbone not in get_args(BackboneTraining):
            raise ValueError(
                f"TRAIN.BACKBONE must be one of {', '.join(get_args(BackboneTraining))}, got {self.backbone!r}"
            )
        if self.frozen_blocks < 0 or (self.frozen_blocks and self.backbone != "all"):
            raise ValueError(
                f"TRAIN.FROZEN_BLOCKS must be 0 or more, and 0 unless TRAIN.BACKBONE is 'all', got {self.frozen_blocks} "
                f"with {self.backbone!r}"
            )
        for key, value in (("LR", self.lr), ("WEIGHT_DECAY", self.weight_decay), ("GRAD_CLIP_VAL", self.grad_clip_val)):
            if value < 0:
                raise ValueError(f"TRAIN.{key} must not be negative, got {value}")
        if self.hand_grad_clip_val is not None and not self.hand_grad_clip_val > 0:
            raise ValueError(f"TRAIN.HAND_GRAD_CLIP_VAL must be above 0, or left out, got {self.hand_grad_clip_val}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"TRAIN.EMA must be in [0, 1), e.g. 0.999; 0 keeps no average; got {self.ema}")

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any]) -> TrainingOptions:
        """Read the keys of a configuration tree; what it leaves out keeps its default here.

        Raises:
            ValueError: no LOSS_WEIGHTS, or a value that makes no sense.
        """
        train, weights = cfg.get("TRAIN", {}), cfg.get("LOSS_WEIGHTS")
        if not weights:
            raise ValueError(
                "the configuration must have LOSS_WEIGHTS (KEYPOINTS_2D, KEYPOINTS_3D, GLOBAL_ORIENT, HAND_POSE, BETAS, "
                "ADVERSARIAL); compose one with hamer.configs, or take them from a model_config.yaml"
            )
        lora = {key.lower(): value for key, value in (train.get("LORA") or {}).items()}
        if "layers" in lora:
            lora["layers"] = tuple(lora["layers"])
        values: dict[str, Any] = {
            "lr": train.get("LR"),
            "weight_decay": train.get("WEIGHT_DECAY"),
            "grad_clip_val": train.get("GRAD_CLIP_VAL"),
            "hand_grad_clip_val": train.get("HAND_GRAD_CLIP_VAL"),
            "fused": train.get("FUSED"),
            "compiled": train.get("COMPILE"),
            "backbone": train.get("BACKBONE"),
            "frozen_blocks": train.get("FROZEN_BLOCKS"),
            "channels_last": train.get("CHANNELS_LAST"),
            "ema": train.get("EMA"),
            "root": cfg.get("EXTRA", {}).get("PELVIS_IND"),
            "log_steps": cfg.get("GENERAL", {}).get("LOG_STEPS"),
        }
        adversarial = float(weights.get("ADVERSARIAL", 0))
        return cls(
            **{name: value for name, value in values.items() if value is not None},
            adversarial=adversarial,
            schedule=Schedule.from_cfg(cfg, steps_per_update=2 if adversarial > 0 else 1),
            landmark_noise=LandmarkNoise.from_cfg(train),
            crop_exchange=CropExchange(float(train.get("CROP_EXCHANGE") or 0.0)),
            loss_weights={key: float(value) for key, value in weights.items()},
            lora=LoRAOptions(**lora),
        )
