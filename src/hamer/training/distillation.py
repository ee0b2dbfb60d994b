"""A small student learns from a large teacher: from its hands, and from its features.

The student is a `HamerModule`; its data are the training's, of which it needs only the pictures. What it minimises is a
mean over hands of

* the angle between rotations (or, as choice, their matrices' absolute differences), absolute differences of shape and
  camera, distances of 3D joints, vertices and projected keypoints;
* between features: a linear map of the student's tokens to the teacher's width (FitNets, Romero et al., 2015), compared
  after each token has been normalised, since a few channels of a large transformer outweigh all others (Wei et al.,
  "Contrastive Learning Rivals Masked Image Modeling in Fine-tuning via Feature Distillation", 2022);
* and, if wished, the ordinary losses against annotations.

Letters: B hands, C_s and C_t channels of student and teacher.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hamer.checkpoints.weights import check_fit, read_weights
from hamer.errors import WeightsError
from hamer.geometry.rotations import geodesic_angle
from hamer.models.hamer import HAMER
from hamer.models.loading import MAY_EXCEED, MAY_MISS, load_network
from hamer.models.mano_wrapper import MANO
from hamer.models.precision import Precision, set_precision
from hamer.training.module import HamerModule, Previews

logger = logging.getLogger(__name__)

RotationDistance = Literal["geodesic", "l1"]


@dataclass(frozen=True)
class DistillationOptions:
    """Choices of a distillation (`DISTILL` in the configuration, keys in capitals).

    Attributes:
        teacher: its checkpoint.
        teacher_precision: its arithmetic, see `hamer.models.precision`.
        student: a checkpoint of the student's size to start from; None starts as below.
        from_teacher: copy what fits from the teacher: the head, and with equal width every n-th block.
        rotation_distance: "geodesic", radians, or "l1" of the matrices' entries.
        rotations, betas, camera, keypoints_3d, vertices, keypoints_2d, features: weights of the parts; 0 leaves one
            out. 3D distances are in metres, those of 2D keypoints in crop widths.
        ground_truth: weight of the ordinary loss (`LOSS_WEIGHTS`), a mean over hands.
    """

    teacher: str
    teacher_precision: Precision = "auto"
    student: str | None = None
    from_teacher: bool = True
    rotation_distance: RotationDistance = "geodesic"
    rotations: float = 1.0
    betas: float = 0.1
    camera: float = 1.0
    keypoints_3d: float = 10.0
    vertices: float = 10.0
    keypoints_2d: float = 1.0
    features: float = 1.0
    ground_truth: float = 0.0

    def __post_init__(self) -> None:
        if self.rotation_distance not in get_args(RotationDistance):
            raise ValueError(f"DISTILL.ROTATION_DISTANCE must be 'geodesic' or 'l1', got {self.rotation_distance!r}")
        weights = {name: getattr(self, name) for name in (*_PARTS, "ground_truth")}
        if any(value < 0 for value in weights.values()) or not any(weights.values()):
            raise ValueError(f"weights in DISTILL must not be negative, and one must be positive, got {weights}")

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any]) -> DistillationOptions:
        """Read the keys of a configuration tree.

        Raises:
            ValueError: no teacher, or a key that is not known.
        """
        values = {key.lower(): value for key, value in (cfg.get("DISTILL") or {}).items()}
        known = {field.name for field in fields(cls)}
        unknown = sorted(values.keys() - known)
        if unknown:
            raise ValueError(f"DISTILL.{unknown[0].upper()} is not known; known are {', '.join(sorted(known)).upper()}")
        if not values.get("teacher"):
            raise ValueError("DISTILL.TEACHER must name the teacher's checkpoint, got nothing")
        return cls(**values)


_PARTS = ("rotations", "betas", "camera", "keypoints_3d", "vertices", "keypoints_2d", "features")


def output_losses(
    student: Mapping[str, Any], teacher: Mapping[str, Any], rotation_distance: RotationDistance = "geodesic"
) -> dict[str, Tensor]:
    """How far the student's hands are from the teacher's, both as `HAMER.forward` gives them; means over all hands."""
    rotations = [
        torch.cat([output["pred_mano_params"][name] for name in ("global_orient", "hand_pose")], dim=1)
        for output in (student, teacher)
    ]
    is_geodesic = rotation_distance == "geodesic"
    apart = geodesic_angle(*rotations) if is_geodesic else (rotations[0] - rotations[1]).abs()
    betas = student["pred_mano_params"]["betas"] - teacher["pred_mano_params"]["betas"]
    return {
        "rotations": apart.mean(),
        "betas": betas.abs().mean(),
        "camera": (student["pred_cam"] - teacher["pred_cam"]).abs().mean(),
        **{name: _distance(student[f"pred_{name}"], teacher[f"pred_{name}"]) for name in ("keypoints_3d", "vertices")},
        "keypoints_2d": _distance(student["pred_keypoints_2d"], teacher["pred_keypoints_2d"]),
    }


def feature_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of token features (B, C_t, rows, columns), each token normalised over its channels."""
    found, wanted = (F.layer_norm(t.float().flatten(2).transpose(1, 2), t.shape[1:2]) for t in (student, teacher))
    return F.mse_loss(found, wanted)


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean Euclidean distance; the small term keeps the derivative finite where points meet."""
    return ((a - b).square().sum(-1) + 1e-12).sqrt().mean()


class DistillationModule(HamerModule):
    """The student in training. Its checkpoints are a plain HaMeR's: the teacher is in none, the feature map apart.

    Args:
        cfg: the student's configuration, with `DISTILL`.
        teacher: float32; kept outside the module's own parts: not trained, not saved. Its first use moves it to the
            student's device and lowers its precision.
        previews: as HamerModule's.
    """

    training_parts = ("feature_map.",)

    def __init__(self, cfg: Mapping[str, Any], teacher: HAMER, *, previews: Previews | None = None) -> None:
        mean = {
            key: getattr(teacher.mano_head, name)[0].float().cpu().numpy()
            for key, name in (("pose", "init_hand_pose"), ("shape", "init_betas"), ("cam", "init_cam"))
        }
        super().__init__(cfg, mano=MANO(teacher.mano.arrays), mean_params=mean, previews=previews)
        self.distillation = DistillationOptions.from_cfg(self.cfg)
        self._teacher = (teacher.eval().requires_grad_(False),)  # in a tuple, modules are not registered
        self._teacher_is_ready = False
        self.feature_map = nn.Conv2d(self.config.backbone.width, teacher.config.backbone.width, kernel_size=1)

    @property
    def teacher(self) -> HAMER:
        """The network to learn from, on the student's device, in the precision of the options."""
        (teacher,) = self._teacher
        if teacher.device != self.device:
            teacher.to(self.device)
        if not self._teacher_is_ready:  # only now is it known what suits the device
            set_precision(teacher, self.distillation.teacher_precision)
            self._teacher_is_ready = True
        return teacher

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """As HAMER's, and the feature map as `features`."""
        features, maps = self.seen(batch["img"])
        return self.hands(features, batch.get("landmarks"), maps) | {"features": features}

    def compute_loss(self, batch: Mapping[str, Any], output: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum; parts are reported as `loss_teacher_rotations` ..., and with `ground_truth` the usual ones."""
        options = self.distillation
        with torch.no_grad():
            teacher_features, maps = self.teacher.seen(batch["img"])
            target = self.teacher.hands(teacher_features, batch.get("landmarks"), maps)
        parts = output_losses(output, target, options.rotation_distance)
        # Always computed: every parameter then has a gradient in every process.
        parts["features"] = feature_loss(self.feature_map(output["features"].float()), teacher_features)
        total = torch.stack([getattr(options, name) * value for name, value in parts.items()]).sum()
        usual: dict[str, Tensor] = {}
        if options.ground_truth > 0:
            summed, usual = super().compute_loss(batch, output)
            total = total + options.ground_truth * summed / len(batch["img"])
        reported = {f"loss_teacher_{name}": value.detach() for name, value in parts.items()}
        return total, usual | {"loss": total.detach()} | reported


def build_student(
    cfg: Mapping[str, Any], *, previews: Previews | None = None, resuming: bool = False
) -> DistillationModule:
    """The module of a distillation, its teacher loaded, its student started as `DISTILL` says.

    Args:
        cfg: the student's configuration, interpolations resolved, with `DISTILL`.
        previews: as HamerModule's.
        resuming: a checkpoint will bring the student's weights.

    Raises:
        FileNotFoundError, WeightsError: no teacher, or one that is no HaMeR; a student of another size.
    """
    options = DistillationOptions.from_cfg(cfg)
    if cfg.get("TRAIN", {}).get("START_FROM"):
        logger.warning(
            "TRAIN.START_FROM is not used here: DISTILL.STUDENT names the weights that a student starts from"
        )
    teacher = load_network(options.teacher)
    if bool(teacher.cfg.MODEL.get("UPRIGHT")) != bool(cfg["MODEL"].get("UPRIGHT")):
        logger.warning(
            "teacher and student see the same crops, and only one of them knows hands that point up: set MODEL.UPRIGHT as in %s",
            options.teacher,
        )
    module = DistillationModule(cfg, teacher, previews=previews)
    if resuming:
        return module
    if options.student:
        _start_from(module, options.student)
    elif options.from_teacher:
        start_from_teacher(module, teacher)
    return module


def start_from_teacher(student: HAMER, teacher: HAMER) -> list[str]:
    """Copy what fits, in place: tensors of the head and, for an equal width, the backbone with evenly spaced blocks.

    Returns:
        names of the student's tensors that were copied.
    """
    own, other = student.state_dict(), teacher.state_dict()
    sources = {name: name for name in own if name.startswith("mano_head.")}
    if student.config.backbone.width == teacher.config.backbone.width:
        n, m = student.config.backbone.depth, teacher.config.backbone.depth
        chosen = [round(i * (m - 1) / max(n - 1, 1)) for i in range(n)]  # the first, the last, and some between
        for name in own:
            if name.startswith("backbone."):
                part = name.split(".")
                sources[name] = (
                    ".".join(["backbone.blocks", str(chosen[int(part[2])]), *part[3:]]) if part[1] == "blocks" else name
                )
    fitting = [n for n, source in sources.items() if source in other and other[source].shape == own[n].shape]
    with torch.no_grad():
        for name in fitting:
            own[name].copy_(other[sources[name]])
    logger.info("%d of the student's %d tensors start from the teacher's", len(fitting), len(own))
    return fitting


def _start_from(student: DistillationModule, path: str | Path) -> None:
    tensors = read_weights(path).tensors
    own = {name: value for name, value in student.state_dict().items() if not name.startswith(student.training_parts)}
    try:
        check_fit(own, tensors, source=str(path), may_miss=MAY_MISS, may_exceed=MAY_EXCEED)
    except WeightsError as error:
        raise WeightsError(f"{error}; DISTILL.STUDENT must be of the student's size (MODEL.BACKBONE)") from error
    student.load_state_dict({name: tensors[name] for name in own if name in tensors}, strict=False)
