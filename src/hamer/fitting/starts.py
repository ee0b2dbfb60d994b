"""Where a search begins: from the landmark model's 3D guess in closed form, or from several poses when there is none.

K starts a hand; everything in normalised image coordinates of a right hand, as in `Problem`.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from hamer.fitting.anatomy import FLEXION, Anatomy
from hamer.fitting.kinematics import Skeleton, pose_skeleton
from hamer.fitting.objective import Problem, State
from hamer.geometry.cameras import solve_translation
from hamer.geometry.rotations import aa_to_rotmat

# The joints of the palm, which move little against each other, and how much each tells of its orientation.
PALM = (0, 1, 5, 9, 13, 17)
_PALM_TRUST = (1.0, 0.2, 1.0, 1.0, 1.0, 1.0)
# Where the fingers in MANO's order (index, middle, little, ring, thumb) lie among the 21 joints.
_NODES = ((5, 6, 7, 8), (9, 10, 11, 12), (17, 18, 19, 20), (13, 14, 15, 16), (1, 2, 3, 4))
_TILT_DEGREES = 45.0
_CURLS_DEGREES = (12.0, 55.0)


def start_from_guess(skeleton: Skeleton, anatomy: Anatomy, problem: Problem) -> State:
    """One start a hand (K = 1): the palm turned as in the guess, each bone bent as in the guess within its range."""
    n = len(problem.points)
    betas = problem.betas_mean
    rest = skeleton.rest_joints(betas)
    orient = _turn_between(
        rest[:, PALM], problem.guess[:, PALM], problem.guess_weight[:, PALM] * rest.new_tensor(_PALM_TRUST)
    )
    angles = _bend_like(anatomy, problem, orient)
    return _placed(skeleton, anatomy, problem, orient, angles.reshape(n, -1), betas)


def starts_without_guess(skeleton: Skeleton, anatomy: Anatomy, problem: Problem) -> list[State]:
    """K starts a hand: palm toward the camera or away, tilted five ways, fingers nearly straight or curled."""
    n, like = len(problem.points), problem.points
    quarter, tilt = math.pi / 2, math.radians(_TILT_DEGREES)
    facings = aa_to_rotmat(like.new_tensor([[quarter, 0, 0], [-quarter, 0, 0]]))
    tilts = aa_to_rotmat(like.new_tensor([[0, 0, 0], [tilt, 0, 0], [-tilt, 0, 0], [0, tilt, 0], [0, -tilt, 0]]))
    rest = skeleton.rest_joints(problem.betas_mean)
    states = []
    for curl, facing, lean in itertools.product(_CURLS_DEGREES, facings, tilts):
        turn = lean @ facing
        spin = _spin_onto(rest @ turn.T, problem)
        flexed = torch.where(anatomy.axis_of == FLEXION, math.radians(curl), 0.0).to(like).expand(n, -1)
        angles = torch.minimum(torch.maximum(flexed, problem.low), problem.high)
        states.append(_placed(skeleton, anatomy, problem, spin @ turn, angles, problem.betas_mean))
    return states


def start_from_parameters(
    skeleton: Skeleton,
    anatomy: Anatomy,
    problem: Problem,
    orient: Tensor,
    angles: Tensor,
    betas: Tensor,
    translation: Tensor,
) -> State:
    """The start that given parameters describe; rows of `translation` (N, 3) that are not usable are solved from
    the keypoints.
    """
    state = _placed(skeleton, anatomy, problem, orient, angles, betas)
    wrist = translation + skeleton.wrist(betas)
    given = torch.isfinite(wrist).all(1) & (wrist[:, 2] > 0)
    place = torch.where(given[:, None], _place_of(wrist), state.place)
    return State(state.orient, place, state.angles, state.betas, state.guess_turn, state.guess_log_scale)


def _placed(
    skeleton: Skeleton, anatomy: Anatomy, problem: Problem, orient: Tensor, angles: Tensor, betas: Tensor
) -> State:
    """A state whose wrist is put where the keypoints are matched best."""
    n = len(orient)
    rotations = anatomy.rotations(anatomy.full_angles(angles, problem.passive))
    points = pose_skeleton(skeleton, orient, rotations, betas).points
    camera = torch.eye(3).to(points).expand(n, 3, 3)
    wrist = solve_translation(points, problem.points, camera, problem.confidence)
    # Keypoints that contradict the pose can put the hand behind the camera: then its size in the picture tells how
    # far it is.
    extent = (points[..., :2].amax(1) - points[..., :2].amin(1)).amax(1)
    seen = _seen_extent(problem)
    fallback_depth = (extent / seen).clamp(0.05, 100.0)
    centre = (
        _mean(problem.points, problem.confidence) - _mean(points[..., :2], problem.confidence) / fallback_depth[:, None]
    )
    fallback = torch.cat([centre * fallback_depth[:, None], fallback_depth[:, None]], dim=1)
    nearest = (points[..., 2] + wrist[:, 2:]).amin(1)
    usable = torch.isfinite(wrist).all(1) & (nearest > 0.02)
    wrist = torch.where(usable[:, None], wrist, fallback)
    eye = torch.eye(3).to(points).expand(n, 3, 3)
    return State(orient, _place_of(wrist), angles, betas, eye, points.new_zeros(n, 1))


def _place_of(wrist: Tensor) -> Tensor:
    depth = wrist[:, 2:].clamp(min=1e-3)
    return torch.cat([wrist[:, :2] / depth, depth.log()], dim=1)


def _seen_extent(problem: Problem) -> Tensor:
    """The longer side of the used keypoints' box (N,), normalised coordinates."""
    used = (problem.confidence > 0)[..., None]
    high = torch.where(used, problem.points, -torch.inf).amax(1)
    low = torch.where(used, problem.points, torch.inf).amin(1)
    return (high - low).amax(1).clamp(min=1e-6)


def _mean(points: Tensor, weights: Tensor) -> Tensor:
    return (points * weights[..., None]).sum(1) / weights.sum(1, keepdim=True).clamp(min=1e-12)


def _turn_between(source: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """The proper rotations (N, 3, 3) that bring centred `source` (N, J, 3) nearest to centred `target` (Kabsch
    1976).
    """
    source = source - _mean(source, weights)[:, None]
    target = target - _mean(target, weights)[:, None]
    covariance = torch.einsum("nj,njx,njy->nxy", weights, target, source)
    u, _, vt = torch.linalg.svd(covariance)
    sign = torch.linalg.det(u @ vt).sign()
    flip = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], dim=1)
    return (u * flip[:, None]) @ vt


def _spin_onto(points: Tensor, problem: Problem) -> Tensor:
    """Rotations (N, 3, 3) about the camera's z that bring the palm of `points` (N, 21, 3) onto the keypoints'
    directions.
    """
    weights = problem.confidence
    palm = torch.zeros_like(weights)
    palm[:, PALM] = weights[:, PALM]
    weights = torch.where((palm > 0).sum(1, keepdim=True) >= 3, palm, weights)
    a = points[..., :2] - _mean(points[..., :2], weights)[:, None]
    b = problem.points - _mean(problem.points, weights)[:, None]
    sine = (weights * (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])).sum(1)
    cosine = (weights * (a * b).sum(-1)).sum(1)
    angle = torch.atan2(sine, cosine)
    return aa_to_rotmat(torch.stack([torch.zeros_like(angle), torch.zeros_like(angle), angle], dim=1))


def _bend_like(anatomy: Anatomy, problem: Problem, orient: Tensor) -> Tensor:
    """Active angles (N, A) that turn the bones as in the guess, base to tip, each within its range; unknown bones
    rest.
    """
    n = len(orient)
    nodes = problem.guess[:, _NODES]  # (N, 5, 4, 3)
    known = (problem.guess_weight[:, _NODES] > 0).all(-1)  # (N, 5)
    frames = anatomy.frames.reshape(5, 3, 3, 3)
    low, high = (anatomy.full_angles(v, torch.zeros_like(problem.passive)) for v in (problem.low, problem.high))
    low, high = low.reshape(n, 5, 3, 3), high.reshape(n, 5, 3, 3)
    resting = anatomy.full_angles(problem.angle_mean, problem.passive).reshape(n, 5, 3, 3)
    turn = orient[:, None].expand(n, 5, 3, 3)
    levels = []
    for level in range(3):
        bone = F.normalize(nodes[:, :, level + 1] - nodes[:, :, level], dim=-1)
        local = torch.einsum("fxc,nfyx,nfy->nfc", frames[:, level], turn, bone)  # along flexion, abduction, twist axes
        swing = _swing_of(local, hinge=level > 0)
        angles = torch.minimum(torch.maximum(swing, low[:, :, level]), high[:, :, level])
        angles = torch.where(known[..., None], angles, resting[:, :, level])
        rotation = frames[:, level] @ aa_to_rotmat(angles) @ frames[:, level].transpose(-1, -2)
        turn = turn @ rotation
        levels.append(angles)
    return anatomy.active_angles(torch.stack(levels, dim=2).reshape(n, 15, 3))


def _swing_of(direction: Tensor, *, hinge: bool) -> Tensor:
    """Angles (..., 3) that swing the bone (0, 0, 1) of a joint's frame to the unit `direction` (..., 3) of the
    same frame.
    """
    x, y, z = direction.unbind(-1)
    zero = torch.zeros_like(x)
    if hinge:
        return torch.stack([torch.atan2(-y, z), zero, zero], dim=-1)
    sine = torch.hypot(x, y)
    factor = torch.atan2(sine, z) / sine.clamp(min=1e-9)
    return torch.stack([-y * factor, x * factor, zero], dim=-1)
