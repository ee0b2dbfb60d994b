"""From files to a network: checkpoints of the original, of our training, and safetensors.

The network is built without memory (torch's meta device) and takes the file's tensors as they are, which `read_weights`
maps into memory, so that loading costs one copy of the weights. Names are checked strictly; what may differ is listed
here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hamer.assets.places import find_original
from hamer.checkpoints.hand_files import arrays_from_state_dict, load_open_hand
from hamer.checkpoints.name_tables import backbone_table
from hamer.checkpoints.weights import Weights, check_fit, read_weights, require_finite
from hamer.configs.node import ConfigNode
from hamer.configs.reader import OPEN_HAND, default_checkpoint, finish, from_mapping, read_yaml
from hamer.errors import WeightsError
from hamer.models.hamer import HAMER
from hamer.models.landmark_stem import LandmarkStem
from hamer.models.mano_head import neutral_mean_params
from hamer.models.mano_wrapper import MANO
from hamer.models.precision import Precision, is_lowered, recommended_precision, set_precision
from hamer.models.vit import ViT
from hamer.weights import require_built_in

logger = logging.getLogger(__name__)

# Beginnings of names that a file may lack: the hand then comes from the MANO file; the adversary is only trained with;
# the mark of a first training step says nothing.
MAY_MISS = ("mano.", "discriminator.", "initialized")
# Beginnings of names that only the file has: other versions of smplx keep more buffers, and an adversary that the
# configuration does not ask for is left out.
MAY_EXCEED = (
    "mano.",
    "discriminator.",
    "dense_head.",
    "keypoint_3d_loss.",
    "keypoint_2d_loss.",
    "mano_parameter_loss.",
)


def _located(path: str | Path | None) -> Path:
    """`path`; a relative one in the original's layout (`_DATA/...`) that is not there is searched where data may lie."""
    if path is None:
        return find_original("hamer_checkpoint") or Path(default_checkpoint())
    path = Path(path)
    if path.exists() or path.is_absolute() or "_DATA" not in path.parts:
        return path
    return find_original(path) or path


def load_hamer(
    checkpoint_path: str | Path | None = None,
    *,
    device: str | torch.device | None = None,
    precision: Precision = "float32",
) -> tuple[HAMER, ConfigNode]:
    """A network ready for inference, and its configuration.

    Args:
        checkpoint_path: `.ckpt` with its `model_config.yaml` two folders above, as the original has them; or
            `.safetensors` (`hamer convert`) with the configuration in its header or beside it. None:
            `default_checkpoint()`.
        device: None for the CPU.
        precision: arithmetic of the backbone, see `hamer.models.precision`; "float32" is the reference, "auto" what
            suits the device.

    Returns:
        the network in evaluation mode, and the frozen configuration, made fit for inference (`inference_config`).

    Raises:
        FileNotFoundError: no checkpoint, or no configuration, or no MANO anywhere.
        WeightsError, UnsafeFileError: see `read_weights`; also tensors that do not fit the configuration.
    """
    weights = read_weights(_located(checkpoint_path))
    cfg = inference_config(find_config(weights))
    return _network(weights, cfg, device, precision), cfg


def check_hamer(checkpoint_path: str | Path | None = None) -> None:
    """Raise what `load_hamer` would where checkpoint or configuration are missing or unreadable, without reading tensors."""
    find_config(read_weights(_located(checkpoint_path)))


def load_network(
    checkpoint_path: str | Path,
    *,
    cfg: Mapping[str, Any] | None = None,
    device: str | torch.device | None = None,
    precision: Precision = "float32",
) -> HAMER:
    """As `load_hamer`, with a configuration of the caller's, or None for the one that belongs to the file."""
    weights = read_weights(_located(checkpoint_path))
    if cfg is None:
        cfg = inference_config(find_config(weights))
    return _network(weights, cfg if isinstance(cfg, ConfigNode) else ConfigNode(cfg), device, precision)


def find_config(weights: Weights) -> ConfigNode:
    """The configuration that belongs to a weights file, defaults joined, paths placed.

    Looked for two folders above (`model_config.yaml`), beside the file (`<name>.yaml`, `<name>.json`,
    `model_config.yaml`, `model_config.json`), then in the file itself.
    """
    path = weights.path
    candidates = [
        path.with_suffix(".yaml"),
        path.with_suffix(".json"),
        path.parent / "model_config.yaml",
        path.parent / "model_config.json",
        path.parent.parent / "model_config.yaml",
    ]
    if path.suffix != ".safetensors":  # the original's place comes first for the original's kind of file
        candidates = [candidates[-1], *candidates[:-1]]
    elif weights.config is not None:  # a header is closer to its tensors than any file
        return finish(from_mapping(weights.config), update_cachedir=True)
    for candidate in candidates:
        if candidate.is_file():
            return finish(read_yaml(candidate), update_cachedir=True)
    if weights.config is not None:
        logger.info("%s: no model_config.yaml found, taking the configuration inside the checkpoint", path)
        return finish(from_mapping(weights.config), update_cachedir=True)
    raise FileNotFoundError(
        f"no configuration for {path}: expected {path.parent.parent / 'model_config.yaml'}. It comes with the checkpoint "
        "(hamer fetch hamer_demo_data); put it there, or beside the weights"
    )


def inference_config(cfg: ConfigNode) -> ConfigNode:
    """A frozen copy without what only training needs (start weights, maps of which nothing is read), and with the shape of
    crops that inference uses: [192, 256], or what the backbone sees where it says so.
    """
    cfg = cfg.clone()
    cfg.defrost()
    backbone = cfg.MODEL.setdefault("BACKBONE", {"TYPE": "vit"})
    if str(backbone.get("TYPE", "vit")).startswith("vit") and cfg.MODEL.get("BBOX_SHAPE") is None:
        cfg.MODEL["BBOX_SHAPE"] = list(backbone.get("IMAGE_SIZE") or [256, 192])[::-1]
    backbone.pop("PRETRAINED_WEIGHTS", None)
    if not (cfg.MODEL.get("DENSE_HEAD") or {}).get("POINTS"):
        cfg.MODEL.pop("DENSE_HEAD", None)
    cfg.freeze()
    return cfg


def load_backbone(backbone: ViT, path: str | Path) -> None:
    """Start `backbone` from weights of ViTPose, MAE or HaMeR, whatever their names (`name_tables`)."""
    tensors = read_weights(path).tensors
    try:
        tensors = backbone_table(tensors).to_ours(tensors)
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from error
    check_fit(backbone.state_dict(), tensors, source=str(path))
    backbone.load_state_dict(tensors)


def start_trunk(backbone: ViT) -> None:
    """Give a fresh backbone's trunk, where it has one, its published weights: the built-in network's file holds them."""
    if isinstance(backbone.patch_embed, LandmarkStem):
        backbone.patch_embed.trunk.load(require_built_in())


def _network(weights: Weights, cfg: ConfigNode, device: str | torch.device | None, precision: Precision) -> HAMER:
    source = str(weights.path)
    if precision == "auto":
        precision = recommended_precision(device or "cpu")
    if "backbone.pos_embed" not in weights.tensors:
        raise WeightsError(
            f"{source} must hold HaMeR's network (backbone.pos_embed, mano_head. ...), got {', '.join(list(weights.tensors)[:5])}; "
            "weights of other networks do not fit"
        )
    mano = _mano(weights, cfg)
    with torch.device("meta"):
        model = HAMER(_without_start_weights(cfg), mano=mano, mean_params=neutral_mean_params())
    tensors = _cast(model.state_dict(), weights.tensors, precision)
    check_fit(model.state_dict(), tensors, source=source, may_miss=MAY_MISS, may_exceed=MAY_EXCEED)
    require_finite(tensors, source)
    model.load_state_dict({k: v for k, v in tensors.items() if not k.startswith("mano.")}, strict=False, assign=True)
    _settle(model)
    model.cfg = cfg
    set_precision(model, precision)
    return model.to(device or "cpu").eval()


def _mano(weights: Weights, cfg: ConfigNode) -> MANO:
    """The hand of the checkpoint's buffers, which are those that it was trained with, else the open hand or the MANO file."""
    if any(name.startswith("mano.v_template") for name in weights.tensors):
        return MANO(arrays_from_state_dict(weights.tensors))
    if cfg.MANO.MODEL_PATH == OPEN_HAND:
        return MANO(load_open_hand())
    places = [Path(cfg.MANO.MODEL_PATH), *(parent / "data" / "mano" for parent in weights.path.absolute().parents[:3])]
    return MANO(next((place for place in places if place.exists()), places[0]))


def _without_start_weights(cfg: ConfigNode) -> ConfigNode:
    return inference_config(cfg) if "PRETRAINED_WEIGHTS" in cfg.MODEL.get("BACKBONE", {}) else cfg


def _cast(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], precision: Precision) -> dict[str, Tensor]:
    """Tensors in the network's dtypes: half-precision files are widened, others stay as mapped.

    Layers that `precision` would round again at once keep what the file has.
    """
    keeps = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision)
    return {
        name: value
        if name not in expected or (value.dtype == keeps and is_lowered(name))
        else value.to(expected[name].dtype)
        for name, value in tensors.items()
    }


def _settle(model: HAMER) -> None:
    """Give what the file lacked a place in memory: the adversary goes, the mark of a first step is unset."""
    if hasattr(model, "discriminator") and any(p.is_meta for p in model.discriminator.parameters()):
        del model.discriminator
    if model.initialized.is_meta:
        model.initialized = torch.tensor(False)
