"""How the 15 joints of a hand bend: anatomical axes, ranges, and how likely a pose is before any picture is seen.

Each joint gets an orthonormal frame in the model's rest pose: column 0 the axis of flexion (positive closes the
hand), column 1 of abduction (positive moves the finger toward the thumb's side; the thumb away from the palm's
plane), column 2 the bone itself (twist). A joint's rotation is Q Exp(angles) Q^T, so a hinge has one angle and a pose
is a vector of a few dozen numbers with a meaning. All angles are in radians inside, degrees in the tables, and are
measured from a straight finger: what the rest pose already bends is added before a range is applied.

The ranges are those of hand therapy handbooks (American Academy of Orthopaedic Surgeons, Joint Motion, 1965; Norkin
and White, Measurement of Joint Motion), a little wider for lax hands; the coupling of the last two joints, DIP = 2/3
PIP, is that of Rijpkema and Girard, "Computer animation of knowledge-based human grasping", SIGGRAPH 1991.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hamer.fitting.kinematics import Skeleton
from hamer.geometry.rotations import aa_to_rotmat, rotmat_to_aa

FLEXION, ABDUCTION, TWIST = 0, 1, 2
THUMB = 4  # the fingers in MANO's order: index, middle, little, ring, thumb
# The pad of the thumb does not face as the palm does but is rolled about the thumb toward the fingers by this much
# (measured on the open hand: the direction in which the thumb's last bone is thinnest).
THUMB_ROLL_DEGREES = 38.0


@dataclass(frozen=True)
class Motion:
    """One way in which one joint of one finger moves, degrees: the range, the likeliest angle and its spread."""

    finger: str  # "finger" for the four alike, or "thumb"
    level: int  # 0 at the base (MCP; CMC of the thumb), 2 next to the tip
    axis: int
    low: float
    high: float
    mean: float
    spread: float


MOTIONS = (
    Motion("finger", 0, FLEXION, -30.0, 95.0, 20.0, 35.0),
    Motion("finger", 0, ABDUCTION, -25.0, 25.0, 0.0, 10.0),
    Motion("finger", 0, TWIST, -12.0, 12.0, 0.0, 4.0),
    Motion("finger", 1, FLEXION, -8.0, 115.0, 30.0, 40.0),
    Motion("finger", 2, FLEXION, -10.0, 85.0, 20.0, 30.0),
    Motion("thumb", 0, FLEXION, -35.0, 45.0, 5.0, 18.0),
    Motion("thumb", 0, ABDUCTION, -35.0, 40.0, 0.0, 15.0),
    Motion("thumb", 0, TWIST, -35.0, 35.0, 0.0, 12.0),
    Motion("thumb", 1, FLEXION, -20.0, 65.0, 10.0, 20.0),
    Motion("thumb", 1, ABDUCTION, -10.0, 10.0, 0.0, 5.0),
    Motion("thumb", 2, FLEXION, -25.0, 85.0, 15.0, 25.0),
)


@dataclass(frozen=True)
class Anatomy:
    """The motions of one hand model as tensors, A = 26 active angles (radians) of its 15 joints.

    frames (15, 3, 3): Q of each joint, columns flexion, abduction, twist axes in the rest pose. joint_of, axis_of
    (A,): which joint and axis an angle belongs to. low, high, mean, spread (A,): of the angle relative to the rest
    pose. coupling (C, A), coupling_offset (C,): rows whose product with the angles is expected to equal the offset
    (DIP against PIP).
    """

    frames: Tensor
    joint_of: Tensor
    axis_of: Tensor
    low: Tensor
    high: Tensor
    mean: Tensor
    spread: Tensor
    coupling: Tensor
    coupling_offset: Tensor

    @classmethod
    def from_skeleton(cls, skeleton: Skeleton) -> Anatomy:
        """Derive axes and the angles that the rest pose already has from the model's own rest joints."""
        frames, rest_flexion = _rest_frames(skeleton)
        rows = [(f, motion) for f in range(5) for motion in MOTIONS if (motion.finger == "thumb") == (f == THUMB)]
        joint_of = torch.tensor([3 * f + m.level for f, m in rows])
        axis_of = torch.tensor([m.axis for _, m in rows])
        bent = torch.where(axis_of == FLEXION, rest_flexion[joint_of], torch.zeros(len(rows)).to(rest_flexion))
        low, high, mean, spread = (
            torch.tensor([math.radians(getattr(m, name)) for _, m in rows], dtype=frames.dtype)
            for name in ("low", "high", "mean", "spread")
        )
        # A model whose rest pose lies outside a range (a relaxed thumb, a made-up hand) must be able to show its rest
        # pose.
        low, high = torch.minimum(low - bent, torch.zeros_like(low)), torch.maximum(high - bent, torch.zeros_like(high))
        coupling, offset = _couple_last_joints(joint_of, axis_of, rest_flexion)
        mean = torch.minimum(torch.maximum(mean - bent, low), high)
        return cls(frames, joint_of, axis_of, low, high, mean, spread, coupling, offset)

    def to(self, like: Tensor) -> Anatomy:
        """The same tables in the dtype and on the device of `like` (indices keep their integer type)."""
        moved = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Anatomy(**{k: v.to(like) if v.is_floating_point() else v.to(like.device) for k, v in moved.items()})

    def full_angles(self, active: Tensor, passive: Tensor) -> Tensor:
        """All 45 angles (N, 15, 3): `active` (N, A) written over `passive` (N, 15, 3)."""
        angles = passive.clone()
        angles[:, self.joint_of, self.axis_of] = active
        return angles

    def active_angles(self, angles: Tensor) -> Tensor:
        """The active ones (N, A) of all angles (N, 15, 3)."""
        return angles[:, self.joint_of, self.axis_of]

    def rotations(self, angles: Tensor) -> Tensor:
        """Rotation matrices (N, 15, 3, 3) of all angles (N, 15, 3)."""
        return self.frames @ aa_to_rotmat(angles) @ self.frames.transpose(-1, -2)

    def angles(self, rotations: Tensor) -> Tensor:
        """All angles (N, 15, 3) of rotation matrices (N, 15, 3, 3): the inverse of `rotations`."""
        return rotmat_to_aa(self.frames.transpose(-1, -2) @ rotations @ self.frames)

    def axes_parent(self, angles: Tensor) -> Tensor:
        """The active angles' instantaneous axes (N, A, 3) in their joint's parent frame, at all angles (N, 15, 3)."""
        columns = self.frames @ _left_jacobian(angles)
        return columns[:, self.joint_of, :, self.axis_of].transpose(0, 1)


def _rest_frames(skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """Anatomical frames (15, 3, 3) and the flexion (15,) that the rest pose already has, radians.

    The palm of the rest pose faces -y, the thumb lies toward +z (MANO's and the open hand's alignment).
    """
    joints, tips = skeleton.joints_template, skeleton.tips_template
    chains = joints[1:].reshape(5, 3, 3)
    ends = tips[[1, 2, 4, 3, 0]]  # tips come thumb, index, middle, ring, little
    nodes = torch.cat([chains, ends[:, None]], dim=1)  # (5, 4, 3)
    bones = F.normalize(nodes[:, 1:] - nodes[:, :-1], dim=-1)  # (5, 3, 3)
    facing = torch.tensor([[0.0, -1.0, 0.0]], dtype=joints.dtype).repeat(5, 1)
    facing[THUMB] = _thumb_facing(F.normalize(nodes[THUMB, 3] - nodes[THUMB, 0], dim=-1))
    whole = F.normalize(nodes[:, 3] - nodes[:, 0], dim=-1)
    flexion = F.normalize(torch.cross(whole, facing, dim=-1), dim=-1)  # turns the bone toward where the pad faces
    flexion = flexion[:, None].expand(5, 3, 3)
    flexion = F.normalize(flexion - (flexion * bones).sum(-1, keepdim=True) * bones, dim=-1)
    # Looking along the bone, flexion x bone points to the back or the front; abduction completes the right-handed
    # frame.
    frames = torch.stack([flexion, torch.cross(bones, flexion, dim=-1), bones], dim=-1)
    return frames.reshape(15, 3, 3), _rest_flexion(joints[0], nodes, flexion).reshape(15)


def _thumb_facing(bone: Tensor) -> Tensor:
    """Where the pad of the thumb faces: as the palm does, rolled about the thumb's bone toward the fingers (-z)."""
    palm = torch.tensor([0.0, -1.0, 0.0], dtype=bone.dtype)
    palm = F.normalize(palm - (palm @ bone) * bone, dim=0)
    side = torch.cross(bone, palm, dim=0)
    side = side if side[2] < 0 else -side
    roll = math.radians(THUMB_ROLL_DEGREES)
    return math.cos(roll) * palm + math.sin(roll) * side


def _rest_flexion(wrist: Tensor, nodes: Tensor, flexion: Tensor) -> Tensor:
    """The angle (5, 3) by which each bone is already flexed against the one before it; 0 at the thumb's base."""
    before = torch.cat([(nodes[:, 0] - wrist)[:, None], nodes[:, 1:3] - nodes[:, :2]], dim=1)
    after = nodes[:, 1:] - nodes[:, :-1]
    sine = (torch.cross(before, after, dim=-1) * flexion).sum(-1)
    across = before - (before * flexion).sum(-1, keepdim=True) * flexion
    angle = torch.atan2(sine, (across * after).sum(-1))
    angle[THUMB, 0] = 0.0  # the wrist-to-thumb line is no bone
    return angle


def _couple_last_joints(joint_of: Tensor, axis_of: Tensor, rest_flexion: Tensor) -> tuple[Tensor, Tensor]:
    """DIP - 2/3 PIP = 0 of the four fingers, in angles relative to the rest pose: rows (4, A), offsets (4,)."""
    rows = torch.zeros(4, len(joint_of), dtype=rest_flexion.dtype)
    offset = torch.zeros(4, dtype=rest_flexion.dtype)
    for f in range(4):
        pip, dip = 3 * f + 1, 3 * f + 2
        rows[f, (joint_of == dip) & (axis_of == FLEXION)] = 1.0
        rows[f, (joint_of == pip) & (axis_of == FLEXION)] = -2 / 3
        offset[f] = 2 / 3 * rest_flexion[pip] - rest_flexion[dip]
    return rows, offset


def _left_jacobian(rotvec: Tensor) -> Tensor:
    """(..., 3, 3) J with Exp(v + dv) = Exp(J dv) Exp(v) to first order, for rotation vectors v (..., 3).

    J = I + (1 - cos t)/t^2 [v] + (t - sin t)/t^3 [v]^2 (Chirikjian, Stochastic Models vol. 2, eq. 10.86).
    """
    angle = rotvec.norm(dim=-1)[..., None, None]
    small = angle < 1e-3
    safe = torch.where(small, torch.ones_like(angle), angle)
    a = torch.where(small, 0.5 - angle**2 / 24, (1 - safe.cos()) / safe**2)
    b = torch.where(small, 1 / 6 - angle**2 / 120, (safe - safe.sin()) / safe**3)
    eye = torch.eye(3).to(rotvec).expand(*rotvec.shape, 3)
    cross = torch.cross(rotvec[..., None].expand_as(eye), eye, dim=-2)
    return eye + a * cross + b * cross @ cross
