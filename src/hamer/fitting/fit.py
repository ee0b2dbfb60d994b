"""Hands from keypoints: checks, mirroring and units around the search in `solver`.

Left hands are mirrored here, in normalised image coordinates (x/z negated), fitted as right hands and returned as such.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hamer.fitting.anatomy import Anatomy
from hamer.fitting.kinematics import Skeleton
from hamer.fitting.objective import Objective, Problem, State
from hamer.fitting.options import FitOptions, HandFit, HandPose
from hamer.fitting.solver import Search, minimise, one_thread, select_rows
from hamer.fitting.starts import PALM, start_from_guess, start_from_parameters, starts_without_guess

_WORK = torch.float64  # the problems are tiny: double costs little and spares every question about conditioning
_FEWEST_GUESSED = 8  # joints of a 3D guess below which it is left out
_PROMISING = 5  # starts that are followed up after the first look at all of them


@torch.no_grad()
@one_thread()
def fit_hands(
    hand_model: Any,
    keypoints_2d: Tensor,
    is_right: Tensor,
    camera_matrix: Tensor,
    keypoints_3d: Tensor | None = None,
    initial: HandPose | None = None,
    options: FitOptions | None = None,
) -> HandFit:
    """Fit N hands to their keypoints; the result is in the right-hand convention (see `hamer.fitting.options`).

    Args:
        hand_model: a `HandModel` (or `HandModelArrays`) with MANO's tree, right hand.
        keypoints_2d: (N, 21, 3) undistorted picture px and confidence 0..1 of the hands as they are. NaN or
            confidence 0: unknown.
        is_right: (N,) bool.
        camera_matrix: (N, 3, 3) or (3, 3) intrinsics, px.
        keypoints_3d: (N, 21, 3) the landmark model's guess, metres, camera axes, any origin, a left hand as the left
            hand that it is. Rows (or single joints) of NaN: no guess.
        initial: parameters to start from and to stay near (refinement), right-hand convention. Where it is given, joint
            ranges are widened to hold it. A row of NaN: that hand starts from the guess or from nothing.
        options: weights; None for the defaults.

    Runs on the device of the keypoints; on the CPU in one thread (torch's thread count is lowered meanwhile and restored).

    Raises:
        ValueError: shapes that do not fit together.
    """
    options = options or FitOptions()
    _check(keypoints_2d, is_right, camera_matrix, keypoints_3d, initial)
    inputs = _Inputs.of(keypoints_2d, is_right, camera_matrix, keypoints_3d, options)
    skeleton = Skeleton.from_hand_model(hand_model)
    anatomy = Anatomy.from_skeleton(skeleton).to(inputs.points)
    objective = Objective(skeleton.to(inputs.points), anatomy, options)
    given = _parameters(initial, len(keypoints_2d), inputs.points)
    has_initial, has_guess = _is_finite(given), (inputs.guess_weight > 0).any(1)
    result = _empty_result(len(keypoints_2d), inputs.points)
    for chosen, fit in (
        (has_initial, _refine),
        (~has_initial & has_guess, _fit_from_guess),
        (~has_initial & ~has_guess, _fit_from_nothing),
    ):
        index = (inputs.valid & chosen).nonzero()[:, 0]
        if len(index):
            problem = _problem(objective, inputs, index)
            problem, search = fit(objective, problem, HandPose(*(v[index] for v in given)))
            _write(result, index, objective, problem, search, inputs)
    return _as(result, keypoints_2d)


@dataclass
class _Inputs:
    """All N hands as right hands in normalised image coordinates, unusable numbers replaced by zeros of weight zero."""

    points: Tensor
    confidence: Tensor
    focal: Tensor  # (N, 2) px
    size_px: Tensor  # (N,)
    guess: Tensor
    guess_weight: Tensor
    valid: Tensor

    @classmethod
    def of(
        cls, keypoints: Tensor, is_right: Tensor, camera: Tensor, guess: Tensor | None, options: FitOptions
    ) -> _Inputs:
        keypoints, n = keypoints.to(_WORK), len(keypoints)
        camera = camera.to(keypoints).expand(n, 3, 3)
        sign = torch.where(is_right.bool().to(keypoints.device), 1.0, -1.0).to(_WORK)[:, None]
        usable = torch.isfinite(keypoints).all(-1) & (keypoints[..., 2] >= options.min_confidence)
        confidence = torch.where(usable, keypoints[..., 2].clamp(max=1.0), 0.0)
        size = _size_px(keypoints[..., :2], usable)
        focal = camera[:, [0, 1], [0, 1]]
        valid = (usable.sum(1) >= options.min_keypoints) & (size > 0)
        valid &= torch.isfinite(camera).all(-1).all(-1) & (focal > 0).all(1)
        y = (keypoints[..., 1] - camera[:, 1, 2:]) / focal[:, 1:]
        x = sign * (keypoints[..., 0] - camera[:, 0, 2:] - camera[:, 0, 1:2] * y) / focal[:, :1]
        points = torch.where(usable[..., None], torch.stack([x, y], dim=-1), 0.0)
        guess, guess_weight = _clean_guess(guess, sign, keypoints)
        return cls(points, confidence, focal, size, guess, guess_weight, valid)


def _size_px(points: Tensor, usable: Tensor) -> Tensor:
    """The hand's size in the picture (N,): longer side of the used keypoints' box; 0 where there are none."""
    high = torch.where(usable[..., None], points, -torch.inf).amax(1)
    low = torch.where(usable[..., None], points, torch.inf).amin(1)
    return (high - low).amax(1).clamp(min=0.0)


def _clean_guess(guess: Tensor | None, sign: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """The guess (N, 21, 3) of right hands around its own centre and its weights (N, 21); weight 0 where there is
    none.
    """
    n = len(like)
    if guess is None:
        return like.new_zeros(n, 21, 3), like.new_zeros(n, 21)
    guess = guess.to(like)
    known = torch.isfinite(guess).all(-1)
    enough = (known.sum(1) >= _FEWEST_GUESSED) & (known[:, PALM].sum(1) >= 4)
    weight = (known & enough[:, None]).to(like)
    guess = torch.where(weight[..., None] > 0, guess, 0.0)
    guess = guess * torch.stack([sign, torch.ones_like(sign), torch.ones_like(sign)], dim=-1)
    centre = guess.sum(1, keepdim=True) / weight.sum(1).clamp(min=1.0)[:, None, None]
    return (guess - centre) * weight[..., None], weight


def _parameters(initial: HandPose | None, n: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The initial parameters in the working dtype; NaN throughout where there are none."""
    if initial is None:
        shapes = ((n, 3, 3), (n, 15, 3, 3), (n, 10), (n, 3))
        orient, pose, betas, translation = (like.new_full(shape, torch.nan) for shape in shapes)
        return orient, pose, betas, translation
    missing = like.new_full((n, 3), torch.nan)
    translation = missing if initial.translation is None else initial.translation.to(like)
    return initial.global_orient.to(like), initial.hand_pose.to(like), initial.betas.to(like), translation


def _is_finite(given: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """(N,) which hands have initial rotations and betas (a translation is optional)."""
    orient, pose, betas, _ = given
    return torch.isfinite(torch.cat([orient.flatten(1), pose.flatten(1), betas], dim=1)).all(1)


def _problem(objective: Objective, inputs: _Inputs, index: Tensor) -> Problem:
    """The hands `index` with the prior of a hand of which nothing is known."""
    anatomy, options, n = objective.anatomy, objective.options, len(index)
    like = inputs.points
    everywhere = like.new_full((n, 1), torch.inf)
    return Problem(
        points=inputs.points[index],
        confidence=inputs.confidence[index],
        unit_2d=inputs.size_px[index, None] / inputs.focal[index],
        guess=inputs.guess[index],
        guess_weight=inputs.guess_weight[index],
        passive=like.new_zeros(n, 15, 3),
        angle_mean=anatomy.mean.expand(n, -1),
        angle_spread=(options.pose_spread * anatomy.spread).expand(n, -1),
        low=anatomy.low.expand(n, -1),
        high=anatomy.high.expand(n, -1),
        stay_angles=anatomy.mean.expand(n, -1),
        stay_spread=everywhere.expand(n, len(anatomy.mean)),
        coupling_target=anatomy.coupling_offset.expand(n, -1),
        betas_mean=like.new_zeros(n, 10),
        betas_spread=like.new_full((n, 10), options.sigma_betas),
        orient_mean=torch.eye(3).to(like).expand(n, 3, 3),
        orient_spread=everywhere.expand(n, 3),
        log_depth_mean=like.new_zeros(n, 1),
        log_depth_spread=everywhere,
    )


def _fit_from_guess(objective: Objective, problem: Problem, given: HandPose) -> tuple[Problem, Search]:
    """From the guess in closed form; hands that end far from their keypoints get a second chance without it."""
    options = objective.options
    state = start_from_guess(objective.skeleton, objective.anatomy, problem)
    search = minimise(objective, problem, state, iterations=options.iterations, tolerance=options.tolerance)
    lost = (objective.misfit(problem, search.state) > options.outlier_2d / 2).nonzero()[:, 0]
    if len(lost):
        _, second = _fit_from_nothing(objective, select_rows(problem, lost), given)
        better = second.cost < search.cost[lost]
        search.note(
            lost[better],
            select_rows(second.state, better),
            second.cost[better],
            second.iterations[better],
            second.converged[better],
        )
    return problem, search


def _fit_from_nothing(objective: Objective, problem: Problem, _: HandPose) -> tuple[Problem, Search]:
    """A few steps from each of several starts, a few more from the most promising, the rest from the best one."""
    options, n = objective.options, len(problem.points)
    starts = starts_without_guess(objective.skeleton, objective.anatomy, problem)
    state = State(*(torch.cat([getattr(s, name) for s in starts]) for name in State.__dataclass_fields__))
    for steps, kept in ((2, _PROMISING), (options.scan_iterations, 1)):
        every = torch.arange(n, device=problem.points.device).repeat(len(state.place) // n)
        scan = minimise(objective, select_rows(problem, every), state, iterations=steps, tolerance=options.tolerance)
        order = scan.cost.reshape(-1, n).argsort(dim=0, stable=True)[:kept]
        state = select_rows(scan.state, (order * n + every[:n]).flatten())
    return problem, minimise(
        objective, problem, state, iterations=options.iterations, tolerance=options.tolerance, closing=False
    )


def _refine(objective: Objective, problem: Problem, given: HandPose) -> tuple[Problem, Search]:
    """From the given parameters, which are the prior, or one more observation beside it (`FitOptions.keep_prior`)."""
    anatomy, options = objective.anatomy, objective.options
    assert given.translation is not None
    full = anatomy.angles(given.hand_pose)
    angles = anatomy.active_angles(full)
    angle_spread = torch.full_like(angles, math.radians(options.stay_pose))
    betas_spread = torch.full_like(given.betas, options.stay_betas)
    if options.keep_prior:
        problem.stay_angles, problem.stay_spread = angles, angle_spread
        problem.betas_mean, problem.betas_spread = _both(
            problem.betas_mean, problem.betas_spread, given.betas, betas_spread
        )
    else:
        problem.passive = full
        problem.angle_mean, problem.angle_spread = angles, angle_spread
        problem.low, problem.high = torch.minimum(problem.low, angles), torch.maximum(problem.high, angles)
        problem.coupling_target = angles @ anatomy.coupling.T
        problem.betas_mean, problem.betas_spread = given.betas, betas_spread
    problem.orient_mean = given.global_orient
    problem.orient_spread = torch.full_like(problem.log_depth_mean, math.radians(options.stay_orient)).expand(-1, 3)
    state = start_from_parameters(
        objective.skeleton, anatomy, problem, given.global_orient, angles, given.betas, given.translation
    )
    problem.log_depth_mean = state.place[:, 2:].clone()
    problem.log_depth_spread = torch.full_like(problem.log_depth_mean, options.stay_depth)
    return problem, minimise(objective, problem, state, iterations=options.iterations, tolerance=options.tolerance)


def _both(mean: Tensor, spread: Tensor, other_mean: Tensor, other_spread: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the product of two normal distributions."""
    weight, other_weight = spread**-2, other_spread**-2
    total = weight + other_weight
    return (weight * mean + other_weight * other_mean) / total, total**-0.5


def _empty_result(n: int, like: Tensor) -> HandFit:
    """N hands that could not be fitted."""
    device = like.device
    return HandFit(
        global_orient=torch.eye(3).to(like).repeat(n, 1, 1),
        hand_pose=torch.eye(3).to(like).repeat(n, 15, 1, 1),
        betas=like.new_zeros(n, 10),
        translation=like.new_full((n, 3), torch.nan),
        joints=like.new_full((n, 21, 3), torch.nan),
        residual_px=like.new_full((n,), torch.nan),
        iterations=torch.zeros(n, dtype=torch.long, device=device),
        converged=torch.zeros(n, dtype=torch.bool, device=device),
        valid=torch.zeros(n, dtype=torch.bool, device=device),
    )


def _write(
    result: HandFit, index: Tensor, objective: Objective, problem: Problem, search: Search, inputs: _Inputs
) -> None:
    """Put the outcome of the hands `index` into `result`."""
    state, anatomy = search.state, objective.anatomy
    joints = objective.joints(problem, state)
    result.global_orient[index] = state.orient
    result.hand_pose[index] = anatomy.rotations(anatomy.full_angles(state.angles, problem.passive))
    result.betas[index] = state.betas
    result.translation[index] = state.wrist - objective.skeleton.wrist(state.betas)
    result.joints[index] = joints
    result.residual_px[index] = objective.misfit(problem, state) * inputs.size_px[index]
    result.iterations[index] = search.iterations
    result.converged[index] = search.converged
    result.valid[index] = torch.isfinite(search.cost)


def _as(result: HandFit, like: Tensor) -> HandFit:
    """The result in the floating dtype of the keypoints (float32 where they are integers)."""
    dtype = like.dtype if like.is_floating_point() else torch.float32
    moved = {name: getattr(result, name) for name in HandFit.__dataclass_fields__}
    return HandFit(**{k: v.to(dtype) if v.is_floating_point() else v for k, v in moved.items()})


def _check(
    keypoints_2d: Tensor, is_right: Tensor, camera: Tensor, keypoints_3d: Tensor | None, initial: HandPose | None
) -> None:
    """Raise a ValueError that names the first argument whose shape does not fit."""
    n = len(keypoints_2d)
    expected: list[tuple[str, Tensor | None, tuple[tuple[int, ...], ...]]] = [
        ("keypoints_2d", keypoints_2d, ((n, 21, 3),)),
        ("is_right", is_right, ((n,),)),
        ("camera_matrix", camera, ((n, 3, 3), (3, 3))),
        ("keypoints_3d", keypoints_3d, ((n, 21, 3),)),
    ]
    if initial is not None:
        expected += [
            ("initial.global_orient", initial.global_orient, ((n, 3, 3),)),
            ("initial.hand_pose", initial.hand_pose, ((n, 15, 3, 3),)),
            ("initial.betas", initial.betas, ((n, 10),)),
            ("initial.translation", initial.translation, ((n, 3),)),
        ]
    for name, value, shapes in expected:
        if value is not None and tuple(value.shape) not in shapes:
            wanted = " or ".join(str(s) for s in shapes)
            raise ValueError(f"{name} must have shape {wanted} for {n} hands, got {tuple(value.shape)}")
