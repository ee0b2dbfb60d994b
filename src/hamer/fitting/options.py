"""What a fit is told and what it returns. N hands; everything is in the right-hand convention.

Right-hand convention: a left hand is fitted as the right hand that its mirror image (x of the camera frame negated)
shows. All results are that right hand's. To get the true left hand: `mirror_points` of vertices, joints and
translation, `mirror_rotmat` (or `mirror_axis_angle`) of the rotations, the betas as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from torch import Tensor


@dataclass(frozen=True)
class FitOptions:
    """How far each kind of evidence is trusted: standard deviations with their units; smaller pulls harder.

    Observations
        sigma_2d: of a keypoint of confidence 1, as a share of the hand's size in the picture (longer side of the keypoints'
            box).
        sigma_unsure: what a keypoint is off besides, in the same unit, where its confidence c is 0.5: its variance is
            sigma_2d^2 + sigma_unsure^2 (1/c - 1). That is the law by which the landmark model errs on made pictures,
            where both constants are larger.
        outlier_2d: residual, in the same unit, beyond which a keypoint counts as wrong (Geman-McClure scale).
        sigma_3d: of a joint of the 3D guess across the line of sight, metres; large, because the keypoints tell this better
            (landmark models draw the palm narrower in 3D than in 2D).
        sigma_3d_depth: the same along the line of sight, metres.
        outlier_3d: residual beyond which a joint of the guess counts as wrong, metres.
        guess_turn: how far the guess as a whole may be turned against the camera axes, degrees.
        guess_scale: relative error of the guess's overall size.
        min_confidence: keypoints below this confidence are left out.
        min_keypoints: hands with fewer keypoints left are not fitted (`HandFit.valid` is False).
    What is known beforehand
        sigma_betas: of each shape coefficient.
        pose_spread: factor on the spreads of the joint angles in `hamer.fitting.anatomy`.
        limit_softness: how sharply the ranges of the joints end, degrees.
        coupling: of a DIP joint around two thirds of its PIP joint, degrees.
    Staying near the initial parameters, where these are given
        stay_pose: of each joint angle, degrees.
        stay_orient: of the global orientation, degrees.
        stay_betas: of each shape coefficient.
        stay_depth: relative, of the distance; positions across the line of sight are left to the keypoints.
        keep_prior: the initial parameters are one more observation beside what is known beforehand (angles, ranges, shape);
            without it they replace that, which suits a network that knows more of hands than these tables.
        outlier_stay: with keep_prior, how far the angles must come from the initial ones, root mean square in units of
            stay_pose, until the initial pose counts as wrong (Geman-McClure scale).
    The search
        iterations: most Levenberg-Marquardt steps a hand.
        scan_iterations: steps from each promising start where there is neither a guess nor initial parameters, or where
            the guess led far from the keypoints (farther than half of outlier_2d).
        tolerance: relative decrease of the cost below which a hand is done.
    """

    sigma_2d: float = 0.006
    sigma_unsure: float = 0.038
    outlier_2d: float = 0.15
    sigma_3d: float = 0.020
    sigma_3d_depth: float = 0.010
    outlier_3d: float = 0.05
    guess_turn: float = 12.0
    guess_scale: float = 0.15
    min_confidence: float = 0.02
    min_keypoints: int = 4
    sigma_betas: float = 0.8
    pose_spread: float = 1.0
    limit_softness: float = 1.0
    coupling: float = 15.0
    stay_pose: float = 8.0
    stay_orient: float = 10.0
    stay_betas: float = 0.5
    stay_depth: float = 0.03
    keep_prior: bool = False
    outlier_stay: float = 2.0
    iterations: int = 30
    scan_iterations: int = 8
    tolerance: float = 2e-4

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if not isinstance(f.default, bool) and not value > 0:
                raise ValueError(f"FitOptions.{f.name} must be positive, got {value!r}")
        if self.min_keypoints < 3:
            raise ValueError(f"FitOptions.min_keypoints must be 3 or more, got {self.min_keypoints}")


@dataclass
class HandPose:
    """Parameters to start from: `global_orient` (N, 3, 3), `hand_pose` (N, 15, 3, 3), `betas` (N, 10), and
    `translation` (N, 3) metres or None (or NaN rows) where only the keypoints tell where the hand is. Right-hand
    convention.
    """

    global_orient: Tensor
    hand_pose: Tensor
    betas: Tensor
    translation: Tensor | None = None


@dataclass
class HandFit:
    """N fitted hands, right-hand convention (see the module), in the dtype and on the device of the keypoints.

    global_orient (N, 3, 3), hand_pose (N, 15, 3, 3), betas (N, 10), translation (N, 3) metres: what a `HandModel`
    takes. joints (N, 21, 3): the model's joints in the camera frame, metres, translation included. residual_px (N,):
    root mean square distance of the projected joints to the used keypoints, weighted by confidence, picture px.
    iterations (N,): accepted and rejected steps of the final search; converged (N,): it ended by itself. valid (N,):
    False where the keypoints were unusable; such rows hold the rest pose, zeros and NaN translation and residual.
    """

    global_orient: Tensor
    hand_pose: Tensor
    betas: Tensor
    translation: Tensor
    joints: Tensor
    residual_px: Tensor
    iterations: Tensor
    converged: Tensor
    valid: Tensor
