"""What a fit promises: truth from exact keypoints, mirroring, batches, silence where there is no evidence."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from hamer.fitting import FitOptions, HandFit, HandPose, fit_hands
from hamer.fitting.anatomy import Anatomy
from hamer.fitting.kinematics import Skeleton
from hamer.geometry.mirroring import mirror_points

# Exact evidence and next to no prior: what remains is the search's own error.
TRUSTING = FitOptions(
    sigma_2d=1e-4, sigma_3d=1e-4, sigma_3d_depth=1e-4, guess_scale=1e-4, guess_turn=1e-3, pose_spread=100,
    sigma_betas=100, coupling=1e4, tolerance=1e-12, iterations=60,
)  # fmt: skip


def centred(points: torch.Tensor) -> torch.Tensor:
    """Points around their own mean: what a landmark model knows of where they are."""
    return points - points.mean(1, keepdim=True)


def degrees_between(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Angles between rotations (..., 3, 3)."""
    trace = (a * b).sum((-1, -2))
    return torch.rad2deg(torch.acos(((trace - 1) / 2).clamp(-1, 1)))


def assert_same(a: HandFit, b: HandFit, tolerance: float) -> None:
    for name in ("global_orient", "hand_pose", "betas", "translation", "joints"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=0, atol=tolerance, msg=name)


def rows(fit: HandFit, index: list[int]) -> HandFit:
    return HandFit(**{f.name: getattr(fit, f.name)[index] for f in dataclasses.fields(HandFit)})


def test_exact_keypoints_give_the_true_parameters(stick_hand, made):
    fit = fit_hands(stick_hand, made.keypoints, made.right, made.camera, centred(made.joints), options=TRUSTING)
    assert fit.valid.all()
    # Half a pixel in ten thousand and a hundredth of a millimetre: what the prior left in TRUSTING still pulls.
    assert fit.residual_px.max() < 5e-3
    assert (fit.joints - made.joints).norm(dim=-1).max() < 1e-4
    assert degrees_between(fit.hand_pose, made.pose.hand_pose).max() < 0.5
    assert degrees_between(fit.global_orient, made.pose.global_orient).max() < 0.2


def test_default_options_come_close_from_noisy_keypoints(stick_hand, made):
    rng = torch.Generator().manual_seed(5)
    noise = torch.randn(*made.joints.shape, generator=rng, dtype=torch.float64)
    keypoints = made.keypoints.clone()
    keypoints[..., :2] += 0.01 * made.size_px[:, None, None] * noise[..., :2]
    guess = made.joints + noise.flip(1) * torch.tensor([0.005, 0.005, 0.010])
    fit = fit_hands(stick_hand, keypoints, made.right, made.camera, guess)
    off = (centred(fit.joints) - centred(made.joints)).norm(dim=-1).mean(1)
    assert off.max() < 0.009  # metres; the guess itself is off by 0.011
    assert (fit.residual_px / made.size_px).max() < 0.03


def test_pixels_alone_are_enough(stick_hand, made):
    fit = fit_hands(stick_hand, made.keypoints, made.right, made.camera)
    assert (fit.residual_px / made.size_px).max() < 0.02
    # A single view leaves depth to what is likely: a centimetre at the most, a few millimetres usually.
    assert (centred(fit.joints) - centred(made.joints)).norm(dim=-1).mean(1).median() < 0.01


@pytest.mark.parametrize("with_guess", [False, True])
def test_left_hands_are_mirrored_right_hands(stick_hand, made, with_guess):
    width = 2 * made.camera[0, 2]  # the principal point is the mirror's place in the picture
    mirrored = made.keypoints * torch.tensor([-1.0, 1, 1]) + torch.stack([width, 0 * width, 0 * width])
    guess = centred(made.joints) if with_guess else None
    mirrored_guess = None if guess is None else mirror_points(guess)
    right = fit_hands(stick_hand, made.keypoints, made.right, made.camera, guess)
    left = fit_hands(stick_hand, mirrored, ~made.right, made.camera, mirrored_guess)
    # Pixels of the mirror image round differently in the last digit, and a search ends at a relative 1e-5 of its cost.
    assert_same(left, right, 1e-6)


def test_a_batch_is_its_hands_one_by_one(stick_hand, made):
    guess = centred(made.joints).clone()
    guess[::2] = torch.nan  # hands with and without a guess in one batch
    batch = fit_hands(stick_hand, made.keypoints, made.right, made.camera, guess)
    for i in range(3):
        alone = fit_hands(stick_hand, made.keypoints[i : i + 1], made.right[i : i + 1], made.camera, guess[i : i + 1])
        assert_same(rows(batch, [i]), alone, 1e-8)  # sums over a batch run in another order: rounding only


def test_a_keypoint_without_confidence_is_ignored(stick_hand, made):
    keypoints = made.keypoints.clone()
    keypoints[:, 8, 2] = 0
    moved, unknown = keypoints.clone(), keypoints.clone()
    moved[:, 8, :2] += 500
    unknown[:, 8] = torch.nan
    fits = [
        fit_hands(stick_hand, k, made.right, made.camera, centred(made.joints)) for k in (keypoints, moved, unknown)
    ]
    assert_same(fits[1], fits[0], 0)
    assert_same(fits[2], fits[0], 0)


@pytest.mark.parametrize("confidence", [0.9, 0.3])
def test_unsure_keypoints_are_sure_ones_of_a_larger_variance(stick_hand, made, confidence):
    """The law of `FitOptions.sigma_unsure`: sigma(c)^2 = sigma_2d^2 + sigma_unsure^2 (1/c - 1)."""
    keypoints, unsure = made.keypoints.clone(), FitOptions(sigma_2d=0.006, sigma_unsure=0.04)
    keypoints[..., :2] += (
        0.02 * made.size_px[:, None, None] * torch.randn(6, 21, 2, generator=torch.Generator().manual_seed(6))
    )
    alike = FitOptions(sigma_2d=(0.006**2 + 0.04**2 * (1 / confidence - 1)) ** 0.5, sigma_unsure=0.04)
    expected = fit_hands(stick_hand, keypoints, made.right, made.camera, initial=made.pose, options=alike)
    keypoints[..., 2] = confidence
    fit = fit_hands(stick_hand, keypoints, made.right, made.camera, initial=made.pose, options=unsure)
    assert_same(fit, expected, 1e-9)


def test_single_wrong_keypoints_do_little_harm(stick_hand, made):
    keypoints = made.keypoints.clone()
    keypoints[:, 12, :2] += 0.8 * made.size_px[:, None]
    clean = fit_hands(stick_hand, made.keypoints, made.right, made.camera, centred(made.joints))
    fit = fit_hands(stick_hand, keypoints, made.right, made.camera, centred(made.joints))
    assert (centred(fit.joints) - centred(clean.joints)).norm(dim=-1).mean(1).max() < 0.002  # metres


def test_a_misleading_guess_is_given_up(stick_hand, made):
    turned_away = centred(made.joints) * torch.tensor([-1.0, -1, 1])  # upside down in the picture
    fit = fit_hands(stick_hand, made.keypoints, made.right, made.camera, turned_away)
    assert (fit.residual_px / made.size_px).max() < 0.08


def test_unusable_hands_are_marked_and_harm_nobody(stick_hand, made):
    keypoints, guess = made.keypoints.clone(), centred(made.joints).clone()
    keypoints[0] = torch.nan
    keypoints[1, 3:, 2] = 0  # three keypoints left
    keypoints[2, :, :2] = 100.0  # one point
    guess[3, 5:] = torch.nan  # too little of a guess: the hand is fitted without
    guess[4] = torch.inf
    fit = fit_hands(stick_hand, keypoints, made.right, made.camera, guess)
    assert fit.valid.tolist() == [False, False, False, True, True, True]
    assert fit.translation[:3].isnan().all()
    assert fit.residual_px[:3].isnan().all()
    assert torch.isfinite(torch.cat([v.flatten() for v in (fit.global_orient, fit.hand_pose, fit.betas)])).all()
    alone = fit_hands(stick_hand, keypoints[5:], made.right[5:], made.camera, guess[5:])
    assert_same(rows(fit, [5]), alone, 1e-8)


def test_no_hands_at_all(stick_hand):
    fit = fit_hands(stick_hand, torch.zeros(0, 21, 3), torch.zeros(0, dtype=torch.bool), torch.zeros(0, 3, 3))
    assert fit.hand_pose.shape == (0, 15, 3, 3)
    assert fit.valid.shape == (0,)


def test_refinement_keeps_what_the_keypoints_confirm(stick_hand, made):
    fit = fit_hands(stick_hand, made.keypoints, made.right, made.camera, initial=made.pose)
    for name in ("global_orient", "hand_pose", "betas", "translation"):
        torch.testing.assert_close(getattr(fit, name), getattr(made.pose, name), rtol=0, atol=1e-9)


def test_refinement_keeps_where_the_keypoints_are_silent(stick_hand, made):
    rng = torch.Generator().manual_seed(3)
    keypoints = made.keypoints.clone()
    noise = FitOptions().sigma_2d  # as large as the fit takes keypoints to be off
    keypoints[:, :, :2] += noise * made.size_px[:, None, None] * torch.randn(6, 21, 2, generator=rng)
    keypoints[:, 9:13, 2] = 0  # nothing is known of the middle finger
    fit = fit_hands(stick_hand, keypoints, made.right, made.camera, initial=made.pose)
    # The pose correctives of this hand let every joint move every fingertip by a millimetre: hence not exactly nothing.
    assert degrees_between(fit.hand_pose[:, 3:6], made.pose.hand_pose[:, 3:6]).max() < 4.0
    assert degrees_between(fit.hand_pose, made.pose.hand_pose).max() < 25.0


def test_refinement_follows_the_keypoints(stick_hand, made):
    rng = torch.Generator().manual_seed(4)
    anatomy = Anatomy.from_skeleton(Skeleton.from_hand_model(stick_hand))
    off = made.angles + 0.15 * torch.randn(made.angles.shape, generator=rng).double()
    rotations = anatomy.rotations(anatomy.full_angles(off, torch.zeros(6, 15, 3, dtype=torch.float64)))
    translation = made.pose.translation + torch.tensor([0.02, -0.01, 0.0])
    start = HandPose(made.pose.global_orient, rotations, torch.zeros(6, 10, dtype=torch.float64), translation)
    fit = fit_hands(stick_hand, made.keypoints, made.right, made.camera, initial=start)
    assert (fit.residual_px / made.size_px).max() < 0.015
    without_place = fit_hands(
        stick_hand, made.keypoints, made.right, made.camera, initial=dataclasses.replace(start, translation=None)
    )
    assert (without_place.residual_px / made.size_px).max() < 0.015


def test_initial_parameters_beside_the_prior(stick_hand, made):
    """Hardly believed, they change nothing of a fit that has none; fully believed, it stays with them."""
    guess = centred(made.joints)
    alone = fit_hands(stick_hand, made.keypoints, made.right, made.camera, guess, options=FitOptions(tolerance=1e-9))
    hardly = FitOptions(keep_prior=True, stay_pose=1e5, stay_orient=1e5, stay_betas=1e4, stay_depth=1e4, tolerance=1e-9)
    fit = fit_hands(stick_hand, made.keypoints, made.right, made.camera, guess, initial=made.pose, options=hardly)
    assert_same(fit, alone, 2e-3)  # metres and matrices: both end within the tolerance of the same minimum
    replaced = dataclasses.replace(hardly, keep_prior=False)
    free = fit_hands(stick_hand, made.keypoints, made.right, made.camera, guess, initial=made.pose, options=replaced)
    assert (free.hand_pose - alone.hand_pose).abs().max() > 0.02  # without the prior it is another minimum
    fully = FitOptions(keep_prior=True, stay_pose=1e-3, stay_orient=1e-3, stay_betas=1e-4, stay_depth=1e-5)
    fit = fit_hands(stick_hand, made.keypoints, made.right, made.camera, guess, initial=made.pose, options=fully)
    assert degrees_between(fit.hand_pose, made.pose.hand_pose).max() < 0.1
    torch.testing.assert_close(fit.betas, made.pose.betas, rtol=0, atol=1e-3)


def test_an_initial_pose_that_keypoints_refute_is_forgotten(stick_hand, made):
    """Another hand's pose as the start: it pulls all fingers its way, unless it may count as wrong."""
    wrong = dataclasses.replace(made.pose, hand_pose=made.pose.hand_pose.roll(1, 0))
    believed = FitOptions(keep_prior=True, stay_pose=5.0, outlier_stay=1e6)
    doubted = dataclasses.replace(believed, outlier_stay=2.0)
    off = []
    for options in (believed, doubted):
        guess = centred(made.joints)
        fit = fit_hands(stick_hand, made.keypoints, made.right, made.camera, guess, initial=wrong, options=options)
        off.append(degrees_between(fit.hand_pose, made.pose.hand_pose).mean())
        right = fit_hands(
            stick_hand, made.keypoints, made.right, made.camera, guess, initial=made.pose, options=options
        )
        assert degrees_between(right.hand_pose, made.pose.hand_pose).mean() < 2.0
    assert off[1] < 0.7 * off[0]


def test_rows_without_initial_parameters_are_fitted_from_scratch(stick_hand, made):
    pose = dataclasses.replace(made.pose, hand_pose=made.pose.hand_pose.clone())
    pose.hand_pose[1] = torch.nan
    fit = fit_hands(stick_hand, made.keypoints, made.right, made.camera, centred(made.joints), initial=pose)
    scratch = fit_hands(stick_hand, made.keypoints[1:2], made.right[1:2], made.camera, centred(made.joints)[1:2])
    assert_same(rows(fit, [1]), scratch, 1e-8)


def test_the_same_input_gives_the_same_result(stick_hand, made):
    first, second = (fit_hands(stick_hand, made.keypoints, made.right, made.camera) for _ in range(2))
    assert_same(first, second, 0)
    assert not any(v.requires_grad for v in vars(first).values())


def test_ranges_hold_against_keypoints_that_no_hand_can_show(stick_hand, made):
    rng = torch.Generator().manual_seed(6)
    keypoints = made.keypoints.clone()
    keypoints[..., :2] += 0.15 * made.size_px[:, None, None] * torch.randn(6, 21, 2, generator=rng)
    fit = fit_hands(stick_hand, keypoints, made.right, made.camera, centred(made.joints).flip(1))
    anatomy = Anatomy.from_skeleton(Skeleton.from_hand_model(stick_hand))
    angles = anatomy.angles(fit.hand_pose)
    active = anatomy.active_angles(angles)
    beyond = torch.rad2deg(torch.maximum(active - anatomy.high, anatomy.low - active))
    assert beyond.max() < 8.0  # ranges end softly, within a few times FitOptions.limit_softness
    passive = anatomy.full_angles(torch.zeros_like(active), angles)
    assert passive.abs().max() < 1e-6  # hinges stay hinges: no finger twists


def test_results_keep_the_dtype_and_float32_is_enough(stick_hand, made):
    args = (made.keypoints, made.right, made.camera, centred(made.joints))
    double = fit_hands(stick_hand, *args)
    single = fit_hands(stick_hand, *(a.float() if a.is_floating_point() else a for a in args))
    assert single.hand_pose.dtype == torch.float32
    assert (single.joints - double.joints).abs().max() < 2e-5  # float32 pixels of 1000 are known to 6e-5


def test_shapes_that_do_not_fit_are_named(stick_hand, made):
    with pytest.raises(ValueError, match=r"keypoints_3d must have shape \(6, 21, 3\)"):
        fit_hands(stick_hand, made.keypoints, made.right, made.camera, made.joints[:2])
    with pytest.raises(ValueError, match=r"keypoints_2d must have shape"):
        fit_hands(stick_hand, made.keypoints[..., :2], made.right, made.camera)
    initial = dataclasses.replace(made.pose, betas=made.pose.betas[:, :5])
    with pytest.raises(ValueError, match=r"initial\.betas must have shape"):
        fit_hands(stick_hand, made.keypoints, made.right, made.camera, initial=initial)
    with pytest.raises(ValueError, match=r"FitOptions\.sigma_2d must be positive"):
        FitOptions(sigma_2d=0)
