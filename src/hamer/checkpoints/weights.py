"""Weights of networks in files: `.ckpt`, `.pth`, `.pt`, `.pkl` (torch, Lightning, detectron2) and `.safetensors`.

Reading executes nothing of the file's choosing and copies nothing: tensors are private mappings of the file where its
layout allows, so that a network of 2.7 GB costs 2.7 GB.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hamer.checkpoints.torch_files import Inert, damaged, load_torch_file
from hamer.errors import WeightsError

logger = logging.getLogger(__name__)

_STATE_KEYS = (
    "state_dict",
    "model",
    "state_dict_ema",
    "module",
)  # Lightning and mmcv, detectron2 and timm, timm, DeepSpeed
_WRAPPERS = ("module.", "_orig_mod.")  # DataParallel, torch.compile
CONFIG_KEY = "hamer.model_config"
"""Where a safetensors header keeps the network's configuration, as JSON."""


@dataclass(frozen=True)
class Weights:
    """What a weights file holds: `tensors` by name, and the `config` tree that was saved with them, or None."""

    path: Path
    tensors: dict[str, Tensor]
    config: dict[str, Any] | None = None


def read_weights(path: str | Path) -> Weights:
    """Read a weights file of any supported kind.

    Raises:
        FileNotFoundError: no such file.
        UnsafeFileError: a pickle that asks for more than data; nothing was executed.
        WeightsError: truncated, damaged, or no weights.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no weights at {path}; the original's hamer.ckpt comes with: hamer fetch hamer_demo_data"
        )
    if path.stat().st_size == 0:
        raise damaged(path, "the file is empty")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    content = load_torch_file(path)
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} must hold a dict of tensors, got {type(content).__name__}; save model.state_dict()")
    tensors = _unwrapped(_tensors_of(content))
    if "blobs" in content and not tensors:
        raise WeightsError(
            f"{path} is in the format of Caffe2 and the first Detectron (its weights lie under blobs), expected named "
            "tensors at the top or under state_dict or model: take the file that detectron2's zoo publishes"
        )
    if not tensors:
        keys = ", ".join(map(str, list(content)[:8])) or "nothing"
        raise WeightsError(f"{path} must hold named tensors (at the top or under state_dict or model), got {keys}")
    return Weights(path, tensors, _config_of(content))


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name; see `read_weights`."""
    return read_weights(path).tensors


def write_safetensors(
    path: str | Path, tensors: Mapping[str, Tensor], *, config: Mapping[str, Any] | None = None
) -> Path:
    """Store tensors, and a configuration in the header, in a safetensors file; it appears only when complete."""
    from safetensors.torch import save_file  # only writers need it

    path = Path(path)
    metadata = {"format": "pt"}
    if config is not None:
        metadata[CONFIG_KEY] = json.dumps(config)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.touch()
        mode = partial.stat().st_mode  # the library's own files can be read by their owner only
        save_file({name: _alone(value) for name, value in tensors.items()}, str(partial), metadata)
        partial.chmod(mode)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def require_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise a WeightsError that names the tensors holding NaN or infinity."""
    bad = [name for name, value in tensors.items() if value.is_floating_point() and not _is_finite(value)]
    if bad:
        raise WeightsError(
            f"{source} must hold finite numbers; NaN or infinity in {_listed(bad)}. The training diverged or the file is "
            "damaged: take an earlier checkpoint, or fetch it again"
        )


def check_fit(
    expected: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    *,
    source: str,
    may_miss: Iterable[str] = (),
    may_exceed: Iterable[str] = (),
    advice: str = "Check that model_config.yaml is the one that was saved with these weights",
) -> None:
    """Raise a WeightsError unless `tensors` has the names and shapes of `expected`.

    Args:
        expected: the network's state dict (tensors on the meta device do).
        tensors: what the file holds.
        source: the file, for the message.
        may_miss: beginnings of names that the file may leave out.
        may_exceed: beginnings of names that only the file may have.
        advice: what to do, the message's last sentence.
    """
    allowed_missing, allowed_extra = tuple(may_miss), tuple(may_exceed)
    missing = [name for name in expected if name not in tensors and not name.startswith(allowed_missing)]
    extra = [name for name in tensors if name not in expected and not name.startswith(allowed_extra)]
    shapes = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(value.shape)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    problems = [
        f"{what}: {_listed(names)}"
        for what, names in (("missing", missing), ("not in the network", extra), ("of another shape", shapes))
        if names
    ]
    if problems:
        raise WeightsError(f"{source} does not fit the network; {'; '.join(problems)}. {advice}")


def _read_safetensors(path: Path) -> Weights:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            stored = (file.metadata() or {}).get(CONFIG_KEY)
    except (SafetensorError, OSError) as error:
        raise damaged(path, str(error)) from error
    config = json.loads(stored) if stored else None
    if config is not None and not isinstance(config, dict):
        raise WeightsError(f"{path} must keep a mapping as {CONFIG_KEY} in its header, got {type(config).__name__}")
    return Weights(path, tensors, config)


def _tensors_of(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    for key in _STATE_KEYS:
        if isinstance(content.get(key), Mapping):
            return _tensors_of(content[key])
    tensors = {name: _as_tensor(_taken(content, name)) for name in list(content) if isinstance(name, str)}
    return {name: value for name, value in tensors.items() if value is not None}


def _taken(content: Mapping[Any, Any], name: str) -> Any:
    """content[name]; an array leaves `content`, so that all of them and their copies never lie in memory together."""
    if isinstance(content, dict) and isinstance(content[name], np.ndarray):
        return content.pop(name)
    return content[name]


def _as_tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(np.array(value))
    return None


def _unwrapped(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _WRAPPERS:
        if tensors and all(name.startswith(prefix) for name in tensors):
            return _unwrapped({name.removeprefix(prefix): value for name, value in tensors.items()})
    return tensors


def _config_of(content: Mapping[Any, Any]) -> dict[str, Any] | None:
    """The configuration that Lightning keeps among a module's arguments."""
    arguments = content.get("hyper_parameters")
    if not isinstance(arguments, Mapping):
        return None
    config = plain_settings(arguments.get("cfg"))
    return config if isinstance(config, dict) else None


def plain_settings(value: Any) -> Any:
    """Settings as plain values: OmegaConf's nodes are opened, interpolations stay as written."""
    if isinstance(value, Inert) and isinstance(value.state, dict):
        for key in ("_content", "_val"):
            if key in value.state:
                return plain_settings(value.state[key])
    if isinstance(value, Mapping):
        return {str(key): plain_settings(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_settings(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _alone(value: Tensor) -> Tensor:
    """Contiguous and sharing memory with no other tensor, as the format asks."""
    shares = value.untyped_storage().nbytes() != value.numel() * value.element_size()
    return value.detach().clone(memory_format=torch.contiguous_format) if shares else value.detach().contiguous()


def _is_finite(value: Tensor) -> bool:
    # A sum is NaN or infinite as soon as one entry is, and needs no memory; one that overflows is looked at again.
    total = value.sum(dtype=torch.float64 if value.dtype == torch.float64 else torch.float32)
    return bool(total.isfinite()) or bool(value.isfinite().all())


def _listed(names: list[str], n: int = 5) -> str:
    rest = f" and {len(names) - n} more" if len(names) > n else ""
    return ", ".join(names[:n]) + rest
