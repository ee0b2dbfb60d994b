"""The cost of a hand's parameters given its keypoints, with exact derivatives.

Unknowns x of one hand, P = 10 + A + 10 numbers:
    0:3   rotation increment of the hand, multiplied from the left onto `State.orient`
    3:6   place of the wrist: x/z, y/z, log z (`State.place`): depth and direction do not disturb each other
    6:6+A active joint angles, then 10 betas
    then  rotation increment (3) and log scale (1) of the 3D guess against the camera axes: its frame is not to be
    trusted fully
Every term is a residual divided by its standard deviation; observations pass through the Geman-McClure function,
whose weight (c^2 / (c^2 + r^2))^2 leaves good points alone and forgets far ones (Black and Rangarajan 1996).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hamer.fitting.anatomy import Anatomy
from hamer.fitting.kinematics import PosedHand, Skeleton, cross_columns, joints_jacobian, pose_skeleton
from hamer.fitting.options import FitOptions
from hamer.geometry.rotations import aa_to_rotmat, rotmat_to_aa

N_GLOBAL, N_BETAS, N_GUESS = 6, 10, 4
_NEAR = 1e-3  # metres: joints at or behind the camera are treated as this far away, so that a wild step stays finite


@dataclass
class State:
    """Where the search stands: orient (N, 3, 3), place (N, 3), angles (N, A), betas (N, 10), guess_turn (N, 3, 3),
    guess_log_scale (N, 1).
    """

    orient: Tensor
    place: Tensor
    angles: Tensor
    betas: Tensor
    guess_turn: Tensor
    guess_log_scale: Tensor

    def moved(self, step: Tensor) -> State:
        """The state after `step` (N, P)."""
        sizes = [3, 3, self.angles.shape[1], N_BETAS, 3, 1]
        turn, place, angles, betas, guess_turn, scale = step.split(sizes, dim=1)
        return State(
            aa_to_rotmat(turn) @ self.orient,
            self.place + place,
            self.angles + angles,
            self.betas + betas,
            aa_to_rotmat(guess_turn) @ self.guess_turn,
            self.guess_log_scale + scale,
        )

    @property
    def wrist(self) -> Tensor:
        """The wrist's camera coordinates (N, 3), metres."""
        depth = self.place[:, 2:].exp()
        return torch.cat([self.place[:, :2] * depth, depth], dim=1)


@dataclass
class Problem:
    """What does not change while N hands are fitted, one row a hand, in normalised image coordinates of a right hand.

    points (N, 21, 2) x/z, y/z and confidence (N, 21), 0 where unusable; unit_2d (N, 2): one share of the hand's size in
    normalised coordinates along x and y. guess (N, 21, 3) metres and guess_weight (N, 21). passive (N, 15, 3): values
    of the angles that the fit does not move. The prior of the angles (mean, spread, low, high), betas, orientation
    and log depth; stay_angles and stay_spread (N, A): an observation of the angles beside it. An infinite spread switches
    a term off.
    """

    points: Tensor
    confidence: Tensor
    unit_2d: Tensor
    guess: Tensor
    guess_weight: Tensor
    passive: Tensor
    angle_mean: Tensor
    angle_spread: Tensor
    low: Tensor
    high: Tensor
    stay_angles: Tensor
    stay_spread: Tensor
    coupling_target: Tensor
    betas_mean: Tensor
    betas_spread: Tensor
    orient_mean: Tensor
    orient_spread: Tensor
    log_depth_mean: Tensor
    log_depth_spread: Tensor


@dataclass
class Linearised:
    """The normal equations at a state: hessian (N, P, P), gradient (N, P), cost (N,)."""

    hessian: Tensor
    gradient: Tensor
    cost: Tensor


class Objective:
    """The cost of states under one hand model; constants in the dtype of the problem."""

    def __init__(self, skeleton: Skeleton, anatomy: Anatomy, options: FitOptions) -> None:
        self.skeleton, self.anatomy, self.options = skeleton, anatomy, options
        self.n_angles = len(anatomy.joint_of)
        self.n_unknowns = N_GLOBAL + self.n_angles + N_BETAS + N_GUESS

    def pose(self, problem: Problem, state: State) -> tuple[PosedHand, Tensor]:
        """The posed hand with its wrist in the origin of `PosedHand.points`' frame, and all its angles (N, 15, 3)."""
        angles = self.anatomy.full_angles(state.angles, problem.passive)
        return pose_skeleton(self.skeleton, state.orient, self.anatomy.rotations(angles), state.betas), angles

    def joints(self, problem: Problem, state: State) -> Tensor:
        """The 21 joints (N, 21, 3) in the camera frame, metres."""
        return self.pose(problem, state)[0].points + state.wrist[:, None]

    def misfit(self, problem: Problem, state: State) -> Tensor:
        """Root mean square distance (N,) of joints to keypoints, weighted by confidence, as a share of the hand's size."""
        joints = self.joints(problem, state)
        projected = joints[..., :2] / joints[..., 2:].clamp(min=_NEAR)
        squared = ((projected - problem.points) / problem.unit_2d[:, None]).square().sum(-1)
        return ((problem.confidence * squared).sum(1) / problem.confidence.sum(1)).sqrt()

    def linearise(self, problem: Problem, state: State, openness: float = 1.0) -> Linearised:
        """Cost and Gauss-Newton equations; `openness` above 1 widens the robust functions (early steps)."""
        posed, angles = self.pose(problem, state)
        joints = posed.points + state.wrist[:, None]
        jacobian = self._joints_jacobian(posed, angles, state)
        observed = [
            self._keypoint_rows(problem, joints, jacobian, openness),
            self._guess_rows(problem, state, joints, jacobian, openness),
        ]
        hessian, gradient, cost = self._prior(problem, state)
        cost = cost + self._add_stay(problem, state, hessian, gradient)
        for residual, rows, term_cost in observed:
            hessian = hessian + rows.transpose(1, 2) @ rows
            gradient = gradient + (rows.transpose(1, 2) @ residual[..., None])[..., 0]
            cost = cost + term_cost
        return Linearised(hessian, gradient, cost)

    def _joints_jacobian(self, posed: PosedHand, angles: Tensor, state: State) -> Tensor:
        """d joints / d all unknowns but the guess's, (N, 21, 3, P - 4)."""
        motion = joints_jacobian(self.skeleton, posed, self.anatomy.joint_of, self.anatomy.axes_parent(angles))
        wrist = state.wrist
        depth = wrist[:, 2]
        place = torch.zeros(len(depth), 3, 3).to(depth)
        place[:, 0, 0] = place[:, 1, 1] = depth
        place[:, :, 2] = wrist
        place = place[:, None].expand(-1, 21, 3, 3)
        return torch.cat([motion[..., :3], place, motion[..., 3:]], dim=-1)

    def _keypoint_rows(
        self, problem: Problem, joints: Tensor, jacobian: Tensor, openness: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Reprojection: weighted residuals (N, 42), their rows (N, 42, P) and the cost (N,)."""
        n = len(joints)
        depth = joints[..., 2:].clamp(min=_NEAR)
        projected = joints[..., :2] / depth
        sigma = self.options.sigma_2d * problem.unit_2d[:, None]  # (N, 1, 2)
        residual = (projected - problem.points) / sigma
        rows = (jacobian[:, :, :2] - projected[..., None] * jacobian[:, :, 2:]) / (depth * sigma)[..., None]
        scale = openness * self.options.outlier_2d / self.options.sigma_2d
        weight, cost = _geman_mcclure(residual.square().sum(-1), scale)
        trust = self._trust(problem.confidence)
        root = (trust * weight).sqrt()[..., None]
        rows = (root[..., None] * rows).reshape(n, 42, -1)
        rows = torch.cat([rows, rows.new_zeros(n, 42, N_GUESS)], dim=-1)
        return (root * residual).reshape(n, 42), rows, (trust * cost).sum(-1)

    def _trust(self, confidence: Tensor) -> Tensor:
        """Weights (N, 21) of keypoints: the variance of a sure one over theirs (`FitOptions.sigma_unsure`); 0 at confidence 0."""
        sure = self.options.sigma_2d**2 * confidence
        return sure / (sure + self.options.sigma_unsure**2 * (1.0 - confidence))

    def _guess_rows(
        self, problem: Problem, state: State, joints: Tensor, jacobian: Tensor, openness: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The 3D guess, free to shift, a little to turn and to scale: residuals (N, 63), rows (N, 63, P), cost (N,)."""
        n, options = len(joints), self.options
        turned = state.guess_log_scale.exp()[..., None] * (problem.guess @ state.guess_turn.transpose(1, 2))
        sigma = joints.new_tensor([options.sigma_3d, options.sigma_3d, options.sigma_3d_depth])
        difference = joints - turned
        centred = difference - _weighted_mean(difference, problem.guess_weight)
        scale = openness * options.outlier_3d / options.sigma_3d
        weight, _ = _geman_mcclure((centred / sigma).square().sum(-1), scale)
        shift = _weighted_mean(difference, problem.guess_weight * weight)  # the best shift for these weights
        residual = (difference - shift) / sigma
        turn_rows = -cross_columns(turned)
        rows = torch.cat([jacobian, turn_rows, -turned[..., None]], dim=-1)
        rows = (rows - _weighted_mean(rows.flatten(2), problem.guess_weight * weight).unflatten(2, (3, -1))) / sigma[
            :, None
        ]
        weight, cost = _geman_mcclure(residual.square().sum(-1), scale)
        root = (problem.guess_weight * weight).sqrt()[..., None]
        return (
            (root * residual).reshape(n, 63),
            (root[..., None] * rows).reshape(n, 63, -1),
            (problem.guess_weight * cost).sum(-1),
        )

    def _add_stay(self, problem: Problem, state: State, hessian: Tensor, gradient: Tensor) -> Tensor:
        """Add the observed angles to the equations; their cost (N,).

        They are forgotten as a whole, not angle by angle: who misread a picture is wrong in all fingers.
        """
        angles, slope = slice(N_GLOBAL, N_GLOBAL + self.n_angles), 1 / problem.stay_spread
        off = (state.angles - problem.stay_angles) * slope
        weight, cost = _geman_mcclure(off.square().mean(1), self.options.outlier_stay)
        hessian.diagonal(dim1=1, dim2=2)[:, angles] += weight[:, None] * slope.square()
        gradient[:, angles] += weight[:, None] * slope * off
        return self.n_angles * cost

    def _prior(self, problem: Problem, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """Everything known before the keypoints: hessian, gradient and cost of terms that are linear in the
        unknowns.
        """
        angles, options = slice(N_GLOBAL, N_GLOBAL + self.n_angles), self.options
        turn = rotmat_to_aa(state.orient @ problem.orient_mean.transpose(1, 2))
        guess_turn = rotmat_to_aa(state.guess_turn)
        off = torch.cat(
            [
                turn / problem.orient_spread,
                torch.zeros_like(state.place[:, :2]),
                (state.place[:, 2:] - problem.log_depth_mean) / problem.log_depth_spread,
                (state.angles - problem.angle_mean) / problem.angle_spread,
                (state.betas - problem.betas_mean) / problem.betas_spread,
                guess_turn / math.radians(options.guess_turn),
                state.guess_log_scale / options.guess_scale,
            ],
            dim=1,
        )
        slope = self._prior_slope(problem)
        softness = math.radians(options.limit_softness)
        beyond = (state.angles - problem.high).clamp(min=0) - (problem.low - state.angles).clamp(min=0)
        diagonal, gradient = slope.square(), slope * off
        diagonal[:, angles] += (beyond != 0).to(off) / softness**2
        gradient[:, angles] += beyond / softness**2
        hessian = torch.diag_embed(diagonal)
        rows = self.anatomy.coupling / math.radians(options.coupling)
        misfit = state.angles @ rows.T - problem.coupling_target / math.radians(options.coupling)
        hessian[:, angles, angles] += rows.T @ rows
        gradient[:, angles] += misfit @ rows
        cost = off.square().sum(1) + (beyond / softness).square().sum(1) + misfit.square().sum(1)
        return hessian, gradient, cost

    def _prior_slope(self, problem: Problem) -> Tensor:
        """d (prior residual) / d unknown, (N, P): the inverse spreads."""
        n = len(problem.points)
        return torch.cat(
            [
                1 / problem.orient_spread,
                torch.zeros_like(problem.orient_spread[:, :2]),
                1 / problem.log_depth_spread,
                1 / problem.angle_spread,
                1 / problem.betas_spread,
                problem.points.new_full((n, 3), 1 / math.radians(self.options.guess_turn)),
                problem.points.new_full((n, 1), 1 / self.options.guess_scale),
            ],
            dim=1,
        )


def _geman_mcclure(squared: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Weight and cost of squared residuals under Geman-McClure with the given scale."""
    ratio = scale**2 / (scale**2 + squared)
    return ratio.square(), ratio * squared


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """The mean (N, 1, C) over joints of `values` (N, 21, C) under `weights` (N, 21); zero where all weights are."""
    total = weights.sum(1).clamp(min=1e-12)
    return torch.einsum("nj,njc->nc", weights / total[:, None], values)[:, None]
