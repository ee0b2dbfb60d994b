"""Checkpoints that the original's training and ours exchange, read without unpickling anything but data.

The form is the original's: tensors under their names in `state_dict`; `optimizer_states` by position, head, backbone,
then discriminator; the configuration as an OmegaConf object in `hyper_parameters`; Lightning's `loops`, which hold the
step. What only we have is one more key, `hamer_training`:

* `parameters`: names of the optimised parameters, so that states find their place when other parts are frozen;
* `base_weights`, `lora`: with adapters, `state_dict` has the merged weights, which every reader understands, and
  training continues from these;
* `parts`: tensors that only the training needs (`HamerModule.training_parts`);
* `raw_weights`, `average_updates`: with TRAIN.EMA, `state_dict` has the averages, which every reader takes, and training
  continues from these.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from hamer.checkpoints.torch_files import load_torch_file
from hamer.checkpoints.weights import check_fit, plain_settings, read_weights
from hamer.configs.node import ConfigNode
from hamer.errors import HamerError, WeightsError, require
from hamer.hand_models.arrays import HandModelArrays
from hamer.models.loading import MAY_EXCEED, MAY_MISS, find_config
from hamer.models.mano_head import neutral_mean_params
from hamer.models.mano_wrapper import MANO
from hamer.training.adapters import LORA_NAMES, lora_layers, merge_into
from hamer.training.optimisers import MACHINE_CHOICES, optimised_names

if TYPE_CHECKING:
    from lightning.pytorch.plugins.io import CheckpointIO

    from hamer.training.module import HamerModule
else:
    CheckpointIO = require("lightning.pytorch.plugins.io", extra="train", purpose="training").CheckpointIO

logger = logging.getLogger(__name__)

OURS = "hamer_training"
M = TypeVar("M", bound="HamerModule")


class CheckpointWriteError(HamerError, OSError):
    """A checkpoint that could not be written; the one before it is untouched."""


class SafeCheckpointIO(CheckpointIO):
    """How Lightning reads and writes checkpoints here: `Trainer(plugins=[SafeCheckpointIO()])`.

    Reading executes nothing of the file's choosing; tensors are private mappings of the file. Writing goes to a file
    beside the target that replaces it when complete: a crash or a full disk leaves the previous checkpoint as it was.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`.

        Raises:
            CheckpointWriteError: the disk is full, or the folder cannot be written.
        """
        del storage_options
        path = Path(path)
        partial = path.with_name(f"{path.name}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as a RuntimeError
            raise CheckpointWriteError(
                getattr(error, "errno", None) or errno.EIO, _why_not_written(path, error)
            ) from error
        finally:
            partial.unlink(missing_ok=True)

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: Any = None) -> dict[str, Any]:
        """The content of `path`, tensors on the CPU; see `read_checkpoint`. Lightning moves them where they belong."""
        del map_location, weights_only
        return read_checkpoint(path)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete `path`, where it exists."""
        Path(path).unlink(missing_ok=True)


def _why_not_written(path: Path, error: Exception) -> str:
    free = ""
    if path.parent.is_dir() and hasattr(os, "statvfs"):
        state = os.statvfs(path.parent)
        free = f"; {state.f_bavail * state.f_frsize / 1e9:.2f} GB are free there"
    return (
        f"the checkpoint {path} could not be written: {error}{free}. The previous checkpoint is untouched: make room (or "
        "lower GENERAL.CHECKPOINT_SAVE_TOP_K) and resume from it"
    )


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A training checkpoint as plain containers and tensors, its configuration as plain dictionaries.

    Raises:
        FileNotFoundError: no such file.
        UnsafeFileError: the file asks for more than data; nothing was executed.
        WeightsError: damaged, or no checkpoint of a training.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}; ckpt_path must name a .ckpt file that a training saved")
    content = load_torch_file(path)
    needed = ("state_dict", "optimizer_states", "loops")
    if not isinstance(content, dict) or "state_dict" not in content:
        raise WeightsError(
            f"{path} must be a checkpoint with {', '.join(needed)}; see hamer.models.load_hamer for weights alone"
        )
    if isinstance(content.get("hyper_parameters"), Mapping):
        content["hyper_parameters"] = plain_settings(content["hyper_parameters"])
    return content


# ------------------------------------------------------------------------------------------------------- to the file


def finish(checkpoint: dict[str, Any], module: HamerModule) -> None:
    """Turn what Lightning is about to save into the original's form, in place."""
    from omegaconf import OmegaConf

    checkpoint["hparams_name"] = "kwargs"
    checkpoint["hyper_parameters"] = {"cfg": OmegaConf.create(module.cfg.to_dict())}
    for state in checkpoint.get("optimizer_states", ()):
        for group in state.get("param_groups", ()):
            group |= {"fused": None, "foreach": None, "capturable": False}
    ours: dict[str, Any] = {"parameters": optimised_names(module)}
    adapted = lora_layers(module)
    tensors = checkpoint["state_dict"]
    if module.average is not None and module.average.tensors and tensors:
        tensors, ours["raw_weights"] = module.average.split(tensors)
        ours["average_updates"] = module.average.updates
        checkpoint["state_dict"] = tensors
    if module.options.channels_last:  # readers expect the plain order in memory
        tensors = {name: value.contiguous() for name, value in tensors.items()}
        checkpoint["state_dict"] = tensors
    if module.training_parts:
        ours["parts"] = {name: value for name, value in tensors.items() if name.startswith(module.training_parts)}
        tensors = {name: value for name, value in tensors.items() if name not in ours["parts"]}
        checkpoint["state_dict"] = tensors
    if adapted and tensors:  # with sharding, processes other than the first hold no tensors
        ours["lora"] = {name: value for name, value in tensors.items() if name.endswith(LORA_NAMES)}
        ours["base_weights"] = {f"{name}.weight": tensors[f"{name}.weight"] for name in adapted}
        checkpoint["state_dict"] = merge_into(tensors, module)
    checkpoint[OURS] = ours


# ------------------------------------------------------------------------------------------------------- from the file


def adopt(checkpoint: dict[str, Any], module: HamerModule) -> None:
    """Make a checkpoint fit `module`, in place: its tensors by name, its optimisers' states by parameter.

    Tensors that only the file has (a discriminator that this run does not want, buffers of other smplx versions) are
    dropped; those that it may lack keep the module's values. Parameters that were not trained before start with
    fresh moments, which is logged.

    Raises:
        WeightsError: tensors that do not fit the network.
    """
    if "state_dict" not in checkpoint:
        return  # a sharding strategy has taken everything over while it read the file
    ours = checkpoint.get(OURS) or {}
    checkpoint["state_dict"] = _fitting_tensors(checkpoint["state_dict"], ours, module)
    if "optimizer_states" in checkpoint:
        checkpoint["state_dict"] = _raw_tensors(checkpoint["state_dict"], ours, module)
        names = ours.get("parameters") or _original_names(module)
        checkpoint["optimizer_states"] = _fitting_states(checkpoint["optimizer_states"], names, module)


def _fitting_tensors(tensors: Mapping[str, Tensor], ours: Mapping[str, Any], module: HamerModule) -> dict[str, Tensor]:
    own = module.state_dict()
    adapted = {f"{name}.{part}" for name in lora_layers(module) for part in ("weight", *LORA_NAMES)}
    stored = {**ours.get("base_weights", {}), **ours.get("lora", {})}
    if adapted and adapted <= stored.keys():
        tensors = {**tensors, **stored}
    elif adapted:
        logger.info("the checkpoint has no adapters for these layers: they start from its merged weights")
    tensors = {**tensors, **ours.get("parts", {})}
    may_miss = (
        *MAY_MISS,
        "dense_head.",
        *module.training_parts,
        *(name for name in adapted if name.endswith(LORA_NAMES)),
    )
    check_fit(
        own, tensors, source="the checkpoint", may_miss=may_miss, may_exceed=(*MAY_EXCEED, *ours.get("parts", {}))
    )
    return {name: tensors.get(name, value) for name, value in own.items()}


def _raw_tensors(tensors: dict[str, Tensor], ours: Mapping[str, Any], module: HamerModule) -> dict[str, Tensor]:
    """What a continued training needs of `tensors`, which are averages where the file has raw weights beside them."""
    raw = {name: value for name, value in ours.get("raw_weights", {}).items() if name in tensors}
    if raw and module.average is not None:
        module.average.load({name: tensors[name] for name in raw}, int(ours["average_updates"]))
    elif raw:
        logger.info("TRAIN.EMA is left out: the checkpoint's average of the weights is dropped")
    return {**tensors, **raw}


def _original_names(module: HamerModule) -> list[list[str]]:
    """Names behind the positions of the original's optimiser states, which leave nothing out."""
    parts = (("mano_head", "backbone"), ("discriminator",))
    names = [
        [
            name
            for part in group
            if hasattr(module, part)
            for name, _ in getattr(module, part).named_parameters(prefix=part)
            if not name.endswith(LORA_NAMES)
        ]
        for group in parts
    ]
    return [group for group in names if group]


def _fitting_states(
    states: list[dict[str, Any]], stored_names: list[list[str]], module: HamerModule
) -> list[dict[str, Any]]:
    """States of `module`'s optimisers, from those in the file."""
    wanted = optimised_names(module)
    fitting = []
    for index, names in enumerate(wanted):
        if index >= len(states):
            logger.warning("the checkpoint has no state for optimiser %d: it starts afresh", index)
            fitting.append(_empty_state(states[0], names))
        else:
            fitting.append(_fitting_state(states[index], stored_names[index], names))
    return fitting


def _fitting_state(state: dict[str, Any], stored: list[str], wanted: list[str]) -> dict[str, Any]:
    """`state`, whose positions mean the names `stored`, with its entries at the positions of `wanted`.

    Raises:
        WeightsError: another number of parameters than names.
    """
    positions = [p for group in state["param_groups"] for p in group["params"]]
    if len(positions) != len(stored):
        raise WeightsError(
            f"the checkpoint's optimiser must have {len(stored)} parameters as this network has, got {len(positions)}: it "
            "is of another architecture; take its weights alone (MODEL.BACKBONE.PRETRAINED_WEIGHTS or load_hamer)"
        )
    by_name = {
        name: state["state"][position]
        for name, position in zip(stored, positions, strict=True)
        if position in state["state"]
    }
    fresh = [name for name in wanted if name not in by_name]
    if fresh and by_name:
        logger.info(
            "%d parameters that were not trained before start with fresh moments, first %s", len(fresh), fresh[0]
        )
    result = _empty_state(state, wanted)
    result["state"] = {i: by_name[name] for i, name in enumerate(wanted) if name in by_name}
    return result


def _empty_state(like: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """No moments; the hyperparameters of `like`, but for those that belong to a machine."""
    group = {key: value for key, value in like["param_groups"][0].items() if key not in MACHINE_CHOICES}
    return {"state": {}, "param_groups": [{**group, "params": list(range(len(names)))}]}


def load_module(
    cls: type[M],
    path: str | Path,
    *,
    cfg: Mapping[str, Any] | None = None,
    hand: HandModelArrays | None = None,
    map_location: Any = None,
    **arguments: Any,
) -> M:
    """A module of `cls` with the weights of a checkpoint; its optimisers start afresh.

    To continue a training with everything, give the path to `Trainer.fit(ckpt_path=...)` instead.

    Args:
        cls: HamerModule or a subclass.
        path: a checkpoint of ours or of the original.
        cfg: configuration; None takes the one beside or inside the checkpoint.
        hand: the hand; None takes the one in the checkpoint, else `cfg.MANO.MODEL_PATH`.
        map_location: device of the result; None for the CPU.
        arguments: passed on to `cls`.
    """
    from hamer.checkpoints.hand_files import arrays_from_state_dict

    weights = read_weights(path)
    settings = ConfigNode(cfg) if cfg is not None else find_config(weights).clone()
    settings.defrost()
    settings.get("MODEL", {}).get("BACKBONE", {}).pop("PRETRAINED_WEIGHTS", None)
    if hand is None and "mano.v_template" in weights.tensors:
        hand = arrays_from_state_dict(weights.tensors)
    mano = None if hand is None else MANO(hand)
    module = cls(settings, mano=mano, mean_params=neutral_mean_params(), **arguments)
    ours = {} if weights.path.suffix == ".safetensors" else read_checkpoint(path).get(OURS)
    content = {"state_dict": weights.tensors, OURS: ours or {}}
    adopt(content, module)
    module.load_state_dict(content["state_dict"])
    return module if map_location is None else module.to(map_location)
