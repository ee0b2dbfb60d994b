"""The analytic derivatives of the fit against autograd, and its joints against the hand model's."""

from __future__ import annotations

import pytest
import torch

from hamer.fitting.anatomy import Anatomy
from hamer.fitting.fit import _Inputs, _problem
from hamer.fitting.kinematics import Skeleton, joints_jacobian, pose_skeleton
from hamer.fitting.objective import Objective, State
from hamer.fitting.options import FitOptions
from hamer.geometry.rotations import aa_to_rotmat

# Double precision throughout: values below 1, so rounding stays under 1e-13; a wrong term shows at 1e-4 and more.
EXACT = 1e-12


@pytest.fixture(scope="module")
def skeleton(stick_hand):
    return Skeleton.from_hand_model(stick_hand)


@pytest.fixture(scope="module")
def anatomy(skeleton):
    return Anatomy.from_skeleton(skeleton)


@pytest.fixture(scope="module")
def posture(anatomy):
    """Wild parameters of 4 hands: far outside the ranges, so that no term is small."""
    rng = torch.Generator().manual_seed(1)
    passive, angles = (torch.randn(4, *s, generator=rng, dtype=torch.float64) for s in ((15, 3), (26,)))
    orient = aa_to_rotmat(2 * torch.randn(4, 3, generator=rng, dtype=torch.float64))
    return orient, anatomy.full_angles(0.5 * angles, 0.1 * passive), torch.randn(4, 10, generator=rng).double()


def test_joints_are_those_of_the_hand_model(stick_hand, skeleton, anatomy, posture):
    orient, angles, betas = posture
    rotations = anatomy.rotations(angles)
    expected = stick_hand.joints(orient, rotations, betas)
    points = pose_skeleton(skeleton, orient, rotations, betas).points + skeleton.wrist(betas)[:, None]
    torch.testing.assert_close(points, expected, rtol=0, atol=EXACT)


def test_jacobian_of_joints_is_autograds(skeleton, anatomy, posture):
    orient, angles, betas = posture

    def points(turn, active, shape):
        rotations = anatomy.rotations(anatomy.full_angles(active, angles))
        return pose_skeleton(skeleton, aa_to_rotmat(turn) @ orient, rotations, shape).points.sum(0)

    unknowns = (torch.zeros(4, 3, dtype=torch.float64), anatomy.active_angles(angles), betas)
    traced = torch.autograd.functional.jacobian(points, unknowns)
    expected = torch.cat([block.permute(2, 0, 1, 3) for block in traced], dim=-1)
    posed = pose_skeleton(skeleton, orient, anatomy.rotations(angles), betas)
    jacobian = joints_jacobian(skeleton, posed, anatomy.joint_of, anatomy.axes_parent(angles))
    torch.testing.assert_close(jacobian, expected, rtol=0, atol=EXACT)


def test_angles_are_the_inverse_of_rotations(anatomy, posture):
    torch.testing.assert_close(anatomy.angles(anatomy.rotations(posture[1])), posture[1], rtol=0, atol=EXACT)


@pytest.mark.parametrize("with_guess", [False, True])
def test_gradient_is_that_of_the_cost(stick_hand, skeleton, anatomy, made, with_guess):
    options = FitOptions()
    objective = Objective(skeleton, anatomy, options)
    noise = torch.randn(made.joints.shape, generator=torch.Generator().manual_seed(2)).double()
    guess = made.joints + 0.003 * noise if with_guess else None
    keypoints = made.keypoints + torch.cat([4 * noise[..., :2], 0 * noise[..., 2:]], dim=-1)
    inputs = _Inputs.of(keypoints, made.right, made.camera, guess, options)
    problem = _problem(objective, inputs, torch.arange(len(keypoints)))
    wrist = made.pose.translation + skeleton.wrist(made.pose.betas)
    place = torch.cat([wrist[:, :2] / wrist[:, 2:], wrist[:, 2:].log()], dim=1)
    n = len(place)
    eye = torch.eye(3, dtype=torch.float64).expand(n, 3, 3)
    state = State(made.pose.global_orient, place, 1.5 * made.angles, made.pose.betas, eye, place.new_full((n, 1), 0.05))

    step = torch.zeros(n, objective.n_unknowns, dtype=torch.float64, requires_grad=True)
    objective.linearise(problem, state.moved(step), openness=1e3).cost.sum().backward()
    # Costs are sums of squares, gradients those of half of it. With a guess, the best shift of its points is found
    # anew at each state from weights that are one pass old; with functions as wide as here that leaves 1e-6.
    tolerance = 1e-5 if with_guess else 1e-9
    gradient = objective.linearise(problem, state, openness=1e3).gradient
    torch.testing.assert_close(gradient, step.grad / 2, rtol=tolerance, atol=tolerance * float(gradient.abs().max()))
