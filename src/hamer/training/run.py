"""`train`: from a composed configuration to a finished run: folder, module, data, Lightning's trainer, resuming.

The folder is laid out as the original's (`hamer.training.folder`). The same name again continues a run from its last
checkpoint: weights, optimisers, step, random numbers and the place in the data.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig, OmegaConf

from hamer.assets.places import find_original
from hamer.checkpoints.hand_files import load_open_hand
from hamer.configs.data_scale import training_sets
from hamer.configs.node import ConfigNode
from hamer.configs.reader import OPEN_HAND, finish, from_mapping
from hamer.crops.windows import RESCALE_FACTOR
from hamer.errors import HamerError, require
from hamer.models.mano_head import neutral_mean_params
from hamer.models.mano_wrapper import MANO
from hamer.training.callbacks import FailedBatch, LastCheckpoint, RandomState
from hamer.training.checkpoint_links import LinkingCheckpointIO
from hamer.training.checkpointing import load_module
from hamer.training.curves import CurvesLogger
from hamer.training.distillation import build_student
from hamer.training.folder import TrainingFolder
from hamer.training.module import HamerModule, NonFiniteLossError
from hamer.training.previews import Previews
from hamer.training.progress import TrainingProgress
from hamer.training.run_log import log_file, quiet_lightning

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

logger = logging.getLogger(__name__)

_PRECISIONS = {16: "16-mixed", "16": "16-mixed", "bf16": "bf16-mixed", 32: "32-true", "32": "32-true", 64: "64-true"}
"""The original's words for precision, and Lightning's of today."""


class TrainingStoppedError(HamerError, ArithmeticError):
    """A run that cannot go on: its loss is not a number any more."""


class OutOfMemoryError(HamerError, MemoryError):
    """A device too small for the run."""


@dataclass(frozen=True)
class TrainingOutcome:
    """How a run ended: its `folder`, the optimiser `step` reached, the signal it was `stopped_by`, losses of the last
    validation.
    """

    folder: TrainingFolder
    step: int
    stopped_by: str | None
    validation: Mapping[str, float]


def train(cfg: DictConfig, *, output_dir: str | Path | None = None, overrides: Sequence[str] = ()) -> TrainingOutcome:
    """Run the training that `cfg` describes, or continue it.

    Args:
        cfg: what `hamer.configs.compose.compose` gives.
        output_dir: the run's folder; None makes it of `paths.log_dir`, `task_name` and `exp_name`.
        overrides: the command line behind `cfg`, kept in the folder.

    Raises:
        ValueError: settings that cannot be: no name, a device that is not there.
        TrainingStoppedError: the loss became NaN or infinite; the message names the saved batch.
        CheckpointWriteError: a full disk; the checkpoint before is whole.
    """
    _check(cfg)
    folder = TrainingFolder(Path(output_dir) if output_dir is not None else default_folder(cfg))
    sets = training_sets(cfg)
    checkpoint = starting_checkpoint(cfg, folder)
    settings = prepared(cfg, folder, resuming=checkpoint is not None)
    with quiet_lightning(settings):
        trainer = build_trainer(settings, folder)
        with log_file(folder, writing=trainer.is_global_zero):
            if trainer.is_global_zero:
                folder.write_configs(_without_hydra(cfg), sets, overrides)
            if settings.get("seed") is not None:
                _seed(int(settings.seed))
            module = build_module(settings, resuming=checkpoint is not None)
            return _run(trainer, module, _data_module(settings, sets), folder, settings, checkpoint)


def default_folder(cfg: Mapping[str, Any]) -> Path:
    """logs/train/runs/NAME, as the original's."""
    return Path(cfg["paths"]["log_dir"]) / str(cfg["task_name"]) / "runs" / str(cfg["exp_name"])


def starting_checkpoint(cfg: Mapping[str, Any], folder: TrainingFolder) -> Path | None:
    """`ckpt_path`, else the folder's newest checkpoint, else None.

    Raises:
        FileNotFoundError: `ckpt_path` names no file.
    """
    named = cfg.get("ckpt_path")
    if named is None:
        return folder.newest_checkpoint()
    path = Path(str(named)).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"ckpt_path must name a checkpoint (.ckpt), nothing is at {path}")
    return path


def prepared(cfg: DictConfig, folder: TrainingFolder, *, resuming: bool = False) -> ConfigNode:
    """`cfg` for this machine: folders filled in, interpolations resolved, hand files found; frozen.

    Args:
        resuming: the backbone's start weights are left out, since the checkpoint brings its own.
    """
    values: Any = OmegaConf.to_container(_without_hydra(cfg), resolve=False)
    values["paths"] |= {
        "root_dir": os.environ.get("PROJECT_ROOT", str(Path.cwd())),
        "output_dir": str(folder.path),
        "work_dir": str(Path.cwd()),
    }
    settings = from_mapping(values)
    if resuming:
        settings.MODEL.BACKBONE.pop("PRETRAINED_WEIGHTS", None)
    return finish(settings, update_cachedir=True)


def build_module(settings: ConfigNode, *, resuming: bool = False) -> HamerModule:
    """The network with its losses, and the drawing of previews.

    Args:
        settings: `prepared`.
        resuming: a checkpoint brings all weights, so that none are read here.

    Raises:
        FileNotFoundError: the weights to start from are not there.
    """
    previews = Previews(int(settings.get("EXTRA", {}).get("NUM_LOG_IMAGES", 4)))
    if settings.get("DISTILL"):
        return build_student(settings, previews=previews, resuming=resuming)
    hand = load_open_hand() if settings.MANO.MODEL_PATH == OPEN_HAND else None
    start = settings.TRAIN.get("START_FROM")
    if start and not resuming:
        return load_module(HamerModule, _found(start), cfg=settings, hand=hand, previews=previews)
    backbone = settings.MODEL.BACKBONE.get("PRETRAINED_WEIGHTS")
    if backbone:
        _require_file(
            backbone, "MODEL.BACKBONE.PRETRAINED_WEIGHTS", "a ViTPose or MAE checkpoint, or null for random weights"
        )
    elif not resuming:
        rest = ", all but its trunk" if settings.MODEL.BACKBONE.get("TRUNK") else ""
        logger.warning("the backbone starts from random weights%s: MODEL.BACKBONE.PRETRAINED_WEIGHTS is null", rest)
    if hand is None:
        return HamerModule(settings, previews=previews)
    mean = neutral_mean_params(float(settings.MODEL.get("RESCALE_FACTOR") or RESCALE_FACTOR))
    return HamerModule(settings, mano=MANO(hand), mean_params=mean, previews=previews)


def _found(start: str) -> Path:
    path = Path(start).expanduser()
    path = path if path.exists() else find_original(start) or path
    _require_file(path, "TRAIN.START_FROM", "a checkpoint of HaMeR (.ckpt or .safetensors)")
    return path


def build_trainer(settings: ConfigNode, folder: TrainingFolder) -> Trainer:
    """Lightning's trainer of `settings.trainer`, with the run's callbacks, logger and checkpoint reader.

    Raises:
        ValueError: a device, strategy or precision that this machine does not have.
    """
    require("hydra", extra="train", purpose="training configurations")
    require("tensorboard", extra="train", purpose="the curves and previews of a training")
    from hydra.utils import instantiate
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.loggers import TensorBoardLogger

    values = settings.trainer.to_dict()
    values["_target_"] = str(values["_target_"]).replace("pytorch_lightning.", "lightning.pytorch.", 1)
    values["precision"] = _precision(values)
    _check_processes(values)
    if isinstance(values.get("val_check_interval"), int):  # so many batches, also where an epoch has fewer
        values.setdefault("check_val_every_n_epoch", None)
    shows_progress = values.pop("enable_progress_bar", True)
    folder.checkpoints.mkdir(parents=True, exist_ok=True)
    try:
        return instantiate(
            values,
            logger=[
                TensorBoardLogger(str(folder.path / "tensorboard"), name="", version="", default_hp_metric=False),
                CurvesLogger(folder.curves),
            ],
            callbacks=_callbacks(settings, folder, shows_progress=bool(shows_progress)),
            plugins=[LinkingCheckpointIO(folder.last.absolute())],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except Exception as error:  # hydra wraps what the trainer refuses
        cause = error.__cause__ or error
        if not isinstance(cause, (MisconfigurationException, ValueError, TypeError, RuntimeError)):
            raise
        raise ValueError(_refused(settings.trainer, cause)) from error


def _callbacks(settings: ConfigNode, folder: TrainingFolder, *, shows_progress: bool) -> list[Any]:
    from lightning.pytorch.callbacks import ModelCheckpoint

    general = settings.GENERAL
    top_k = int(general.CHECKPOINT_SAVE_TOP_K)
    # Without a measure, several checkpoints to keep are the newest ones.
    measure: dict[str, Any] = {"monitor": "step", "mode": "max"} if top_k > 1 else {}
    if general.get("CHECKPOINT_MONITOR"):
        measure = {"monitor": general.CHECKPOINT_MONITOR, "mode": general.get("CHECKPOINT_MODE", "min")}
    every = int(general.CHECKPOINT_STEPS)
    callbacks = [
        ModelCheckpoint(
            dirpath=folder.checkpoints,
            every_n_train_steps=every,
            save_last=True,
            save_top_k=top_k,
            enable_version_counter=False,
            **measure,
        ),
        LastCheckpoint(folder.last, every=every),
        RandomState(),
        FailedBatch(folder.path),
    ]
    return callbacks + ([TrainingProgress(int(general.LOG_STEPS))] if shows_progress else [])


def _run(
    trainer: Trainer,
    module: HamerModule,
    data: Any,
    folder: TrainingFolder,
    settings: ConfigNode,
    checkpoint: Path | None,
) -> TrainingOutcome:
    callbacks = {type(callback): callback for callback in trainer.callbacks}  # type: ignore[attr-defined]
    resumed = None if checkpoint is None else str(checkpoint)
    try:
        if settings.get("train", True):
            if resumed:
                logger.warning("continuing from %s", resumed)
            trainer.fit(module, datamodule=data, ckpt_path=resumed)
            resumed = None  # the module is the newest state now
        stopped_by = callbacks[LastCheckpoint].stopped_by
        if settings.get("test", False) and stopped_by is None:
            trainer.validate(module, datamodule=data, ckpt_path=resumed, verbose=False)
    except NonFiniteLossError as error:
        saved = callbacks[FailedBatch].path
        where = f" The batch is saved as {saved}." if saved else ""
        raise TrainingStoppedError(
            f"{error}.{where} The last good checkpoint is {folder.newest_checkpoint() or 'none yet'}"
        ) from error
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"the device's memory is full ({str(error).splitlines()[0]}). What helps, most first: a smaller TRAIN.BATCH_SIZE "
            f"(now {settings.TRAIN.BATCH_SIZE}), +MODEL.BACKBONE.GRADIENT_CHECKPOINTING=true, trainer.precision=bf16-mixed, "
            "tuning=lora, tuning=frozen"
        ) from error
    for name, reasons in data.skipped().items():
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        logger.warning("data set %s: %d samples were skipped: %s", name, sum(reasons.values()), told)
    measured = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
    return TrainingOutcome(folder, trainer.global_step, stopped_by, measured)


def _data_module(settings: ConfigNode, sets: ConfigNode) -> Any:
    from hamer.training.data_module import HAMERDataModule

    return HAMERDataModule(settings, sets)


def _check(cfg: DictConfig) -> None:
    if OmegaConf.is_missing(cfg, "exp_name") or not str(cfg.exp_name).strip():
        raise ValueError("the run needs a name: exp_name=NAME (its folder is logs/train/runs/NAME)")
    if "MODEL" not in cfg:
        raise ValueError("the configuration has no MODEL: choose an experiment, e.g. experiment=hamer_vit_transformer")
    if cfg.DATASETS.get("MOCAP") is None and cfg.LOSS_WEIGHTS.ADVERSARIAL > 0:
        raise ValueError(
            "DATASETS.MOCAP is null: without captured poses there is no adversary, set LOSS_WEIGHTS.ADVERSARIAL=0"
        )
    if cfg.get("extras", {}).get("enforce_tags") and not cfg.get("tags"):
        raise ValueError("the run needs tags, e.g. tags=[dev]; or extras.enforce_tags=false")


def _require_file(path: str | Path, key: str, kind: str) -> None:
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{key} must name {kind}; nothing is at {path} (relative to {Path.cwd()}). `hamer fetch` lists what can be "
            "fetched"
        )


def _check_processes(trainer: Mapping[str, Any]) -> None:
    """On processors `devices` counts processes, and a number meant for GPUs would fill the memory."""
    devices, cores = trainer.get("devices"), os.cpu_count() or 1
    if trainer.get("accelerator") == "cpu" and isinstance(devices, int) and devices > cores:
        raise ValueError(
            f"trainer.devices with trainer=cpu is a number of processes, at most {cores} here, got {devices}"
        )


def _has_mps() -> bool:
    mps = getattr(torch.backends, "mps", None)
    return mps is not None and bool(mps.is_available())


def _precision(trainer: Mapping[str, Any]) -> Any:
    """Lightning's word for the precision; a run that takes whatever device there is has float32 on a processor."""
    precision = trainer.get("precision")
    precision = _PRECISIONS.get(precision, precision)
    has_gpu = torch.cuda.is_available() or _has_mps()
    if trainer.get("accelerator") == "auto" and precision == "16-mixed" and not has_gpu:
        logger.warning("no GPU here: training on the processor, in float32")
        return "32-true"
    return precision


def _refused(trainer: Mapping[str, Any], cause: BaseException) -> str:
    gpus = torch.cuda.device_count()
    has_mps = _has_mps()
    strategy = trainer.get("strategy", "auto")
    strategy = strategy.get("_target_", strategy) if isinstance(strategy, Mapping) else strategy
    return (
        f"the trainer cannot be set up with accelerator {trainer.get('accelerator')!r}, devices {trainer.get('devices')!r}, "
        f"precision {trainer.get('precision')!r}, strategy {strategy!r}: {str(cause).rstrip('!. ')}. This machine has "
        f"{gpus or 'no'} GPU{'s' if gpus != 1 else ''} that torch can use{' and Apple MPS' if has_mps else ''}; trainer=cpu "
        "runs everywhere"
    )


def _without_hydra(cfg: DictConfig) -> DictConfig:
    if "hydra" not in cfg:
        return cfg
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


def _seed(seed: int) -> None:
    from lightning.pytorch import seed_everything

    seed_everything(seed, workers=True, verbose=False)
