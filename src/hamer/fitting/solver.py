"""Levenberg-Marquardt for many small problems at once: every hand has its own damping and its own verdict.

Marquardt's scaling (damping times the diagonal) makes the step independent of the unknowns' units. Nothing is random
and no gradient is traced: the same inputs give the same result.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from torch import Tensor

from hamer.fitting.objective import Linearised, Objective, Problem, State

_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-3, 1e-8, 1e8
_LONGEST_STEP = 1.0  # radians, log depth, betas: a longer step is shortened as a whole
# The robust functions start wide, so that a start far away still feels its keypoints, and close over the first steps.
_OPENNESS = (5.0, 2.2)

DataT = TypeVar("DataT", State, Linearised, Problem)


@dataclass
class Search:
    """Where N searches ended: the states, their costs (N,), steps taken (N,), and whether they ended by
    themselves (N,).
    """

    state: State
    cost: Tensor
    iterations: Tensor
    converged: Tensor

    def note(self, index: Tensor, state: State, cost: Tensor, iteration: int | Tensor, done: Tensor) -> None:
        """Write down how far the hands `index` (M,) are after `iteration` steps."""
        for f in fields(state):
            getattr(self.state, f.name)[index] = getattr(state, f.name)
        self.cost[index], self.iterations[index], self.converged[index] = cost, iteration, done


def minimise(
    objective: Objective, problem: Problem, state: State, *, iterations: int, tolerance: float, closing: bool = True
) -> Search:
    """Lower the cost of every hand from `state` for at most `iterations` steps.

    Args:
        tolerance: a hand is done when an accepted step lowers its cost by less than this share.
        closing: start with wide robust functions and close them over the first steps; False: closed from the start.
    """
    n, like = len(state.place), state.place
    search = Search(
        state=state.moved(like.new_zeros(n, objective.n_unknowns)),
        cost=like.new_full((n,), torch.inf),
        iterations=torch.zeros(n, dtype=torch.long, device=like.device),
        converged=torch.zeros(n, dtype=torch.bool, device=like.device),
    )
    index = torch.arange(n, device=like.device)  # the hands still being worked on
    damping = like.new_full((n,), _FIRST_DAMPING)
    openness = _OPENNESS if closing else ()
    current = objective.linearise(problem, state, openness[0] if openness else 1.0)
    for iteration in range(iterations):
        width = openness[iteration] if iteration < len(openness) else 1.0
        if 0 < iteration <= len(openness):
            current = objective.linearise(problem, state, width)
        trial_state = state.moved(_step(current, damping))
        trial = objective.linearise(problem, trial_state, width)
        better = trial.cost < current.cost
        flat = (current.cost - trial.cost).abs() <= tolerance * current.cost + 1e-15
        done = (flat | (damping >= _MOST_DAMPING)) & (width == 1.0)
        state, current = _pick(better, trial_state, state), _pick(better, trial, current)
        damping = torch.where(better, damping / 5, damping * 8).clamp(_LEAST_DAMPING, _MOST_DAMPING)
        search.note(index, state, current.cost, iteration + 1, done)
        if bool(done.all()):
            break
        if bool(done.any()):  # finished hands leave the batch: the slowest few would otherwise cost as much as all
            keep = (~done).nonzero()[:, 0]
            problem, state, current = select_rows(problem, keep), select_rows(state, keep), select_rows(current, keep)
            index, damping = index[keep], damping[keep]
    return search


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to the calling thread for a while.

    The search is thousands of products of small matrices. Handing each to a pool of threads costs more than it saves, and
    a hundred times more where other programs hold the cores, because the threads wait for each other at every product.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _step(equations: Linearised, damping: Tensor) -> Tensor:
    """The damped Gauss-Newton step (N, P)."""
    diagonal = equations.hessian.diagonal(dim1=1, dim2=2)
    damped = equations.hessian + torch.diag_embed(damping[:, None] * diagonal + 1e-9)
    factor, info = torch.linalg.cholesky_ex(damped)
    step = -torch.cholesky_solve(equations.gradient[..., None], factor)[..., 0]
    usable = (info == 0) & torch.isfinite(step).all(1)
    step = torch.where(usable[:, None], step, torch.zeros_like(step))
    return step / (step.abs().amax(1, keepdim=True) / _LONGEST_STEP).clamp(min=1.0)


def _pick(mask: Tensor, yes: DataT, no: DataT) -> DataT:
    """Row by row, `yes` where `mask` (N,) else `no`."""
    chosen = {}
    for f in fields(yes):
        a, b = getattr(yes, f.name), getattr(no, f.name)
        chosen[f.name] = torch.where(mask.reshape(-1, *[1] * (a.ndim - 1)), a, b)
    return type(yes)(**chosen)


def select_rows(data: DataT, index: Tensor) -> DataT:
    """The hands that `index` selects."""
    return type(data)(**{f.name: getattr(data, f.name)[index] for f in fields(data)})
