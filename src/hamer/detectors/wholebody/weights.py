"""ViTPose's weights from the original's files, checked before anything is built.

Two kinds of file hold the whole-body network: `wholebody.pth`, split from ViTPose++'s mixture of experts, with or
without experts of other tasks left in it; and that mixture itself (Xu et al. 2023): in each block the last rows of the
MLP's second layer belong to a task, and each task has a head. Both give the same network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from hamer.checkpoints.weights import check_fit, read_weights, require_finite
from hamer.detectors.weights_files import weights_file
from hamer.detectors.wholebody.keypoints import N_KEYPOINTS
from hamer.detectors.wholebody.network import WholeBodyNetwork
from hamer.errors import WeightsError
from hamer.models.config import ViTConfig

# ViTPose++'s tasks: 0 COCO, whose head is the plain one; 1 AIC, 2 MPII, 3 AP-10K, 4 APT-36K, 5 COCO-WholeBody.
_WHOLE_BODY = 5
_HEAD = "keypoint_head."
_OTHER_HEADS = "associate_keypoint_heads."
_EXPERT = re.compile(r"^backbone\.blocks\.(\d+)\.mlp\.experts\.(\d+)\.(weight|bias)$")

# Heads of attention by width: ViTPose++ S and H, which are not 64 wide as those of other ViTs (depth and the rest are
# read off the tensors).
_HEADS = {384: 12, 1280: 16}
_HEAD_WIDTH = 64

_ADVICE = "The original's file is _DATA/vitpose_ckpts/vitpose+_huge/wholebody.pth: hamer fetch vitpose"

# Other networks by a beginning of a tensor's name, as users confuse them.
_OTHER_NETWORKS = (
    ("mano_head.", "HaMeR's hand network"),
    ("roi_heads.", "a detectron2 person detector"),
    ("proposal_generator.", "a detectron2 person detector"),
)


def load_network(path: str | Path, config: ViTConfig | None = None) -> WholeBodyNetwork:
    """A network in evaluation mode on the CPU, its tensors those of the file (mapped into memory, not copied).

    Args:
        path: `.pth`, `.pt` or `.safetensors`.
        config: sizes of the backbone; None reads them off the file.

    Raises:
        FileNotFoundError: no such file.
        UnsafeFileError: a pickle that asks for more than data; nothing was executed.
        WeightsError: damaged, another network, or tensors missing, misshapen or not finite.
    """
    path = weights_file(path, "vitpose")
    tensors = whole_body_tensors(read_weights(path).tensors, str(path))
    config = config or _config_of(tensors, str(path))
    with torch.device("meta"):
        network = WholeBodyNetwork(config)
    expected = network.state_dict()
    tensors = {name: _cast(value, expected.get(name)) for name, value in tensors.items()}
    check_fit(expected, tensors, source=str(path), may_miss=_counters(expected), advice=_ADVICE)
    require_finite(tensors, str(path))
    network.load_state_dict(tensors, strict=False, assign=True)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and module.num_batches_tracked is not None:
            module.num_batches_tracked = torch.tensor(0)  # counts steps of training; a file may lack it
    return network.requires_grad_(False).eval()


def whole_body_tensors(tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The whole-body network's tensors among those of a file of either kind.

    Args:
        tensors: by name.
        source: the file, for messages.

    Raises:
        WeightsError: another network, or a mixture without the whole-body task.
    """
    _require_pose_network(tensors, source)
    if _is_mixture(tensors):
        tensors = _split(tensors, source)
    return {
        name: value for name, value in tensors.items() if not _EXPERT.match(name) and not name.startswith(_OTHER_HEADS)
    }


def _is_mixture(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the second layers of the MLPs lack the rows that a task's expert has."""
    first = tensors.get("backbone.blocks.0.mlp.fc2.bias")
    return first is not None and len(first) < tensors["backbone.pos_embed"].shape[-1]


def _split(tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """The whole-body network of a mixture: shared rows then the task's own in each MLP, and the task's head.

    That head has maps for more keypoints than 133 in some files; the first 133 are the whole body's.
    """
    head = f"{_OTHER_HEADS}{_WHOLE_BODY - 1}."
    result = {name: value for name, value in tensors.items() if not name.startswith(_HEAD)}
    heads = {_HEAD + name.removeprefix(head): value for name, value in tensors.items() if name.startswith(head)}
    experts = {name: value for name, value in tensors.items() if _task(name) == _WHOLE_BODY}
    if not heads or not experts:
        raise WeightsError(
            f"{source} holds a mixture of experts (ViTPose++) without its whole-body task (expert {_WHOLE_BODY} and {head}*), "
            f"so it cannot give whole-body keypoints. {_ADVICE}"
        )
    for name, value in experts.items():
        shared = name.replace(f"experts.{_WHOLE_BODY}", "fc2")
        if shared in tensors:  # else check_fit says what is missing
            result[shared] = torch.cat([tensors[shared], value.to(tensors[shared].dtype)])
    for name in ("weight", "bias"):
        final = heads.get(f"{_HEAD}final_layer.{name}")
        if final is not None:
            heads[f"{_HEAD}final_layer.{name}"] = final[:N_KEYPOINTS]
    return result | heads


def _task(name: str) -> int | None:
    match = _EXPERT.match(name)
    return int(match[2]) if match else None


def _require_pose_network(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise a WeightsError that says what the file is, where it is another network than ViTPose."""
    other = next((what for start, what in _OTHER_NETWORKS if any(name.startswith(start) for name in tensors)), None)
    if other is not None:
        raise WeightsError(f"{source} must hold ViTPose's whole-body network and holds {other}. {_ADVICE}")
    position = tensors.get("backbone.pos_embed")
    if position is None or position.ndim != 3 or not any(name.startswith(_HEAD) for name in tensors):
        raise WeightsError(
            f"{source} must hold ViTPose's whole-body network (backbone.pos_embed, {_HEAD}* ...), got "
            f"{', '.join(list(tensors)[:5])}. {_ADVICE}"
        )
    maps = tensors.get(f"{_HEAD}final_layer.bias")
    if maps is not None and len(maps) != N_KEYPOINTS and not _is_mixture(tensors):
        raise WeightsError(
            f"{source} must hold a ViTPose with {N_KEYPOINTS} keypoints (whole body) and holds one with {len(maps)}. {_ADVICE}"
        )


def _config_of(tensors: Mapping[str, Tensor], source: str) -> ViTConfig:
    """Sizes of the backbone as its tensors tell."""
    width = tensors["backbone.pos_embed"].shape[-1]
    if width % _HEAD_WIDTH:
        raise WeightsError(
            f"{source} must hold a ViTPose whose width is a multiple of {_HEAD_WIDTH}, got {width}; give `config`"
        )
    depth = len({name.split(".")[2] for name in tensors if name.startswith("backbone.blocks.")})
    return ViTConfig(width, depth, _HEADS.get(width, width // _HEAD_WIDTH), drop_path_rate=0.0)


def _counters(names: Mapping[str, Tensor]) -> tuple[str, ...]:
    return tuple(name for name in names if name.endswith("num_batches_tracked"))


def _cast(value: Tensor, expected: Tensor | None) -> Tensor:
    """`value` in the network's dtype: half-precision files are widened, others stay as mapped."""
    return value if expected is None else value.to(expected.dtype)
