"""Bootstrap intervals: they cover the truth as often as they say, and pairing finds what unpaired ranges hide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hamer.evaluation import EvaluationBatch, EvaluationResult, compare, evaluate, intervals


def evaluation(noise: float, n: int = 150, seed: int = 1) -> EvaluationResult:
    """The same hands with the same difficulty, predicted with another noise."""
    rng, difficulty = np.random.default_rng(seed), np.random.default_rng(0).gamma(2, 0.5, n)
    joints, keypoints = (
        0.1 * np.random.default_rng(2).normal(size=(n, 21, 3)),
        200 * np.random.default_rng(3).random((n, 21, 2)),
    )
    spread = noise * difficulty[:, None, None]
    return evaluate(
        EvaluationBatch(
            joints=joints + 0.01 * spread * rng.normal(size=joints.shape),
            true_joints=joints,
            keypoints_2d=keypoints + 12 * spread * rng.normal(size=keypoints.shape),
            true_keypoints_2d=keypoints,
            box_size=np.full(n, 200.0),
            ids=[f"hand {i}" for i in range(n)],
        )
    )


@pytest.fixture(scope="module")
def worse() -> EvaluationResult:
    return evaluation(1.1, seed=4)


@pytest.fixture(scope="module")
def better() -> EvaluationResult:
    return evaluation(1.0, seed=5)


def test_values_are_those_of_the_summary(worse) -> None:
    found, summary = {f.metric: f for f in intervals(worse, draws=200)}, worse.summary()
    assert found["mpjpe"].value == pytest.approx(summary.mpjpe)
    assert found["pa_mpjpe"].value == pytest.approx(summary.pa_mpjpe)
    assert found["auc_pa"].value == pytest.approx(summary.auc_pa)
    assert found["pck_0.1"].value == pytest.approx(summary.pck[0.1])
    assert "pa_mpvpe" not in found  # no vertices
    for figure in found.values():
        assert figure.low < figure.value < figure.high
        assert figure.hands == 150


def test_the_interval_is_as_wide_as_theory_says(worse) -> None:
    figure = next(f for f in intervals(worse, draws=4000) if f.metric == "pa_mpjpe")
    per_hand = worse.joint_error_proper.mean(1)
    expected = 2 * 1.96 * per_hand.std() / np.sqrt(len(per_hand))
    assert figure.high - figure.low == pytest.approx(expected, rel=0.1)  # skewed errors, finite draws


def test_pairing_sees_a_difference_that_separate_intervals_hide(worse, better) -> None:
    found = {d.metric: d for d in compare(worse, better)}
    apart = {name: {f.metric: f for f in intervals(r)} for name, r in (("worse", worse), ("better", better))}
    for metric in ("pa_mpjpe", "auc_pa"):
        assert found[metric].better == "second", metric
        first, second = (apart[name][metric] for name in ("worse", "better"))
        assert min(first.high, second.high) > max(first.low, second.low), metric  # these overlap
    assert found["pa_mpjpe"].difference == pytest.approx(better.summary().pa_mpjpe - worse.summary().pa_mpjpe)
    back = {d.metric: d for d in compare(better, worse)}
    assert back["pa_mpjpe"].better == "first"
    assert back["pa_mpjpe"].low == pytest.approx(-found["pa_mpjpe"].high)


def test_nothing_is_better_than_itself(worse) -> None:
    for difference in compare(worse, worse, draws=50):
        assert difference.better is None
        assert (difference.low, difference.high) == (0, 0)


def test_hands_are_matched_by_id(worse, better) -> None:
    order = np.random.default_rng(6).permutation(150)[:100]
    expected = compare(worse[np.sort(order)], better[np.sort(order)], draws=100)
    assert compare(worse[np.sort(order)], better[order], draws=100) == expected
    assert compare(worse, better[order], draws=100) == expected
    with pytest.raises(ValueError, match="no hand in common"):
        compare(worse[:10], better[10:20])
    with pytest.raises(ValueError, match="'hand 3' 2 times"):
        compare(worse, better[[3, 3]])


def test_groups_are_drawn_whole(worse) -> None:
    """Ten copies of each hand tell no more than one: only drawing them together says so."""
    copies = EvaluationResult.joined([worse] * 10)
    copies = replace(copies, ids=np.array([str(i) for i in range(1500)]))
    of_hand = list(worse.ids) * 10
    one, alone, together = (
        next(f for f in intervals(r, groups=g) if f.metric == "pa_mpjpe")
        for r, g in ((worse, None), (copies, None), (copies, of_hand))
    )
    assert alone.high - alone.low < 0.5 * (one.high - one.low)
    assert together.low == pytest.approx(one.low, rel=0.01)  # the same draws in another order of groups
    assert together.high == pytest.approx(one.high, rel=0.01)
    with pytest.raises(ValueError, match="one group for each of the 150 hands, got 2"):
        intervals(worse, groups=["a", "b"])


def test_infinite_errors_are_left_out_and_counted(worse, better) -> None:
    errors = better.joint_error_proper.copy()
    errors[7] = np.inf
    found = {d.metric: d for d in compare(worse, replace(better, joint_error_proper=errors), draws=50)}
    assert (found["pa_mpjpe"].hands, found["pa_mpjpe"].left_out) == (149, 1)
    assert np.isfinite(found["pa_mpjpe"].second)
    assert (found["auc_pa"].hands, found["auc_pa"].left_out) == (150, 0)


def test_wrong_settings_are_named(worse) -> None:
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        intervals(worse, level=95)
