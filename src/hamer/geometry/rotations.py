"""Conversions between rotation matrices, axis-angle vectors and the 6D form, in torch, for any batch shape.

A matrix turns column vectors: `x' = R @ x`. An axis-angle vector points along the axis (right-hand rule) and its length
is the angle in radians. The 6D form is the matrix's first two columns one after the other, (a1, a2), as HaMeR's head
writes it (Zhou et al., "On the Continuity of Rotation Representations in Neural Networks", CVPR 2019).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

# Below this squared angle (0.1 rad) the series are used: five terms leave an error under 1e-17 relative.
_SERIES_BELOW = 1e-2


def aa_to_rotmat(aa: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of axis-angle vectors (Rodrigues' formula), smooth at the zero rotation.

    R = I + sin(t)/t [v] + (1 - cos t)/t^2 [v]^2, where [v] is the cross product matrix of the vector v and t its
    length.
    """
    x, y, z = aa.unbind(-1)
    angle_sq = x * x + y * y + z * z
    a, b = _rodrigues_factors(angle_sq)
    ax, ay, az = a * x, a * y, a * z
    bx, by, bz = b * x, b * y, b * z
    xy, xz, yz = bx * y, bx * z, by * z
    xx, yy, zz = bx * x, by * y, bz * z
    entries = (1 - yy - zz, xy - az, xz + ay, xy + az, 1 - xx - zz, yz - ax, xz - ay, yz + ax, 1 - xx - yy)
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def rotmat_to_aa(rotmat: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Axis-angle vectors of rotation matrices, angles in [0, pi].

    Goes through the unit quaternion, which stays accurate near 0 and near pi. At exactly pi the axis has two equal
    choices; one of them is returned. Gradients are finite everywhere; matrices slightly off SO(3) are taken as the
    rotation nearby.
    """
    quat = rotmat_to_quat(rotmat)
    w, xyz = quat[..., :1], quat[..., 1:]
    sine_sq = (xyz * xyz).sum(-1, keepdim=True)
    is_small = sine_sq < _SERIES_BELOW / 4  # sin(t/2)^2 of the angle where the series of aa_to_rotmat starts
    sine = torch.where(is_small, torch.ones_like(sine_sq), sine_sq).sqrt()
    # asin(s)/s as a series in s^2, where s = sin(t/2): t/s = 2 (1 + s^2/6 + 3 s^4/40 + 15 s^6/336 + 105 s^8/3456 + ...)
    s2 = torch.where(is_small, sine_sq, torch.zeros_like(sine_sq))
    terms = (945 / 42240, 105 / 3456, 15 / 336, 3 / 40, 1 / 6, 1.0)
    series = torch.full_like(s2, 10395 / 599040)
    for term in terms:
        series = series * s2 + term
    scale = torch.where(is_small, 2 * series, 2 * torch.atan2(sine, w) / sine)
    return xyz * scale


def rotmat_to_quat(rotmat: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Unit quaternions (w, x, y, z), w >= 0, of rotation matrices.

    The matrix 4 q q^T is linear in R; its row with the largest diagonal, normalised, is q to full precision (Shepperd
    1978).
    """
    (r00, r01, r02), (r10, r11, r12), (r20, r21, r22) = (row.unbind(-1) for row in rotmat.unbind(-2))
    x_y, x_z, y_z = r01 + r10, r02 + r20, r12 + r21
    w_x, w_y, w_z = r21 - r12, r02 - r20, r10 - r01
    rows = (
        torch.stack((1 + r00 + r11 + r22, w_x, w_y, w_z), dim=-1),
        torch.stack((w_x, 1 + r00 - r11 - r22, x_y, x_z), dim=-1),
        torch.stack((w_y, x_y, 1 - r00 + r11 - r22, y_z), dim=-1),
        torch.stack((w_z, x_z, y_z, 1 - r00 - r11 + r22), dim=-1),
    )
    outer = torch.stack(rows, dim=-2)
    best = outer.diagonal(dim1=-2, dim2=-1).argmax(-1)
    row = torch.take_along_dim(outer, best[..., None, None], dim=-2).squeeze(-2)
    quat = F.normalize(row, dim=-1)
    return torch.where(quat[..., :1] < 0, -quat, quat)


def rot6d_to_rotmat(x: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of 6D vectors (a1, a2) by Gram-Schmidt; their columns are b1, b2 and b1 x b2.

    An all-zero vector gives a zero matrix and parallel a1, a2 leave b2 undetermined (rounding noise), as in the
    original. Any batch shape is right, three rows included (the original's cross product ran over the wrong axis
    there).
    """
    a1, a2 = x[..., :3], x[..., 3:]
    b1 = F.normalize(a1, dim=-1)
    b2 = F.normalize(a2 - (b1 * a2).sum(-1, keepdim=True) * b1, dim=-1)
    b3 = torch.linalg.cross(b1, b2, dim=-1)
    return torch.stack((b1, b2, b3), dim=-1)


def rotmat_to_rot6d(rotmat: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 6"]:
    """6D vectors (first column, second column) of rotation matrices; inverse of `rot6d_to_rotmat`."""
    return torch.cat((rotmat[..., 0], rotmat[..., 1]), dim=-1)


def geodesic_angle(a: Float[Tensor, "*batch 3 3"], b: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Angle in radians, [0, pi], of the rotation that leads from `a` to `b`; accurate near 0 too."""
    quat = rotmat_to_quat(a.transpose(-1, -2) @ b)
    return 2 * torch.atan2(quat[..., 1:].norm(dim=-1), quat[..., 0])


def _rodrigues_factors(angle_sq: Tensor) -> tuple[Tensor, Tensor]:
    """sin(t)/t and (1 - cos t)/t^2 of squared angles; series near zero keep the derivatives finite."""
    is_small = angle_sq < _SERIES_BELOW
    s = torch.where(is_small, angle_sq, torch.zeros_like(angle_sq))
    angle = torch.where(is_small, torch.ones_like(angle_sq), angle_sq).sqrt()
    sine_half = torch.sin(angle / 2)
    a_series = 1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72 * (1 - s / 110))))
    b_series = 0.5 * (1 - s / 12 * (1 - s / 30 * (1 - s / 56 * (1 - s / 90))))
    a = torch.where(is_small, a_series, torch.sin(angle) / angle)
    b = torch.where(is_small, b_series, 2 * (sine_half / angle) ** 2)  # 2 sin^2(t/2) = 1 - cos t without cancellation
    return a, b
