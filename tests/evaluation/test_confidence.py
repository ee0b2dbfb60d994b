"""Scores that know everything, nothing, or the opposite; and by another way of computing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hamer.evaluation import EvaluationBatch, evaluate, reliability, reliability_of

EXACT = 1e-12


@pytest.fixture
def errors() -> np.ndarray:
    return np.random.default_rng(0).gamma(2.0, 5.0, 500)


def test_scores_that_know_the_errors(errors) -> None:
    found = reliability(-errors, errors)
    assert found.rank_correlation == pytest.approx(-1, abs=EXACT)
    assert found.skill == pytest.approx(1, abs=EXACT)
    np.testing.assert_allclose(found.risk, found.ideal_risk, rtol=EXACT)
    means = [b.mean_error for b in found.bins]
    assert means == sorted(means, reverse=True)
    assert len(means) == 10
    assert {b.hands for b in found.bins} == {50}


def test_scores_that_are_the_wrong_way_round(errors) -> None:
    found = reliability(errors, errors)
    assert found.rank_correlation == pytest.approx(1, abs=EXACT)
    assert found.skill < -0.5
    assert found.risk[0] == errors.max()


def test_scores_that_say_nothing(errors) -> None:
    constant = reliability(np.ones_like(errors), errors)
    assert constant.rank_correlation is None
    assert constant.rank_correlation_interval is None
    assert constant.skill == pytest.approx(0, abs=1e-9)
    assert len(constant.bins) == 1
    np.testing.assert_allclose(constant.risk, errors.mean(), rtol=1e-9)
    random = reliability(np.random.default_rng(1).random(500), errors)
    low, high = random.rank_correlation_interval
    assert low < 0 < high
    assert abs(random.skill) < 0.2


def test_curves_and_bins_against_the_definition(errors) -> None:
    rng = np.random.default_rng(2)
    scores = -errors + rng.normal(0, 5, 500)
    found = reliability(scores, errors, bins=7)
    surest = errors[np.argsort(-scores)]
    for kept in (1, 40, 250, 500):
        assert found.risk[kept - 1] == pytest.approx(surest[:kept].mean())
        assert found.risk_at(kept / 500) == pytest.approx(surest[:kept].mean())
    ranks = [np.argsort(np.argsort(v)) for v in (scores, errors)]
    assert found.rank_correlation == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert found.rank_correlation_interval[0] < found.rank_correlation < found.rank_correlation_interval[1]
    assert sum(b.hands for b in found.bins) == 500
    for part in found.bins:
        inside = (scores >= part.lowest) & (scores <= part.highest)
        assert inside.sum() == part.hands
        assert part.mean_error == pytest.approx(errors[inside].mean())
        assert part.error_quartiles[1] == pytest.approx(np.median(errors[inside]))


def test_order_among_equal_scores_does_not_matter(errors) -> None:
    scores = np.random.default_rng(3).integers(0, 4, 500) / 4
    shuffled = np.random.default_rng(4).permutation(500)
    one, other = reliability(scores, errors), reliability(scores[shuffled], errors[shuffled])
    np.testing.assert_allclose(one.risk, other.risk)
    assert one.rank_correlation == pytest.approx(other.rank_correlation)
    assert [b.hands for b in one.bins] == [b.hands for b in other.bins]
    assert len(one.bins) == 4


def test_hands_without_score_are_left_out(errors) -> None:
    scores, some = -errors, errors.copy()
    scores[:3], some[3] = np.nan, np.inf
    found = reliability(scores, some)
    assert (found.hands, found.left_out) == (496, 4)
    data = json.loads(json.dumps(found.as_dict(points=20)))
    assert len(data["risk"]) == len(data["coverage"]) == 20
    assert data["coverage"][-1] == 1
    assert data["skill"] == pytest.approx(1)


def test_of_an_evaluation() -> None:
    rng = np.random.default_rng(5)
    joints = 0.1 * rng.normal(size=(30, 21, 3))
    noise = rng.random(30)
    valid = np.ones((30, 21), bool)
    valid[0] = False
    batch = EvaluationBatch(
        joints=joints + 0.05 * noise[:, None, None] * rng.normal(size=joints.shape),
        true_joints=joints,
        joints_valid=valid,
        scores=1 - noise,
    )
    found = reliability_of(evaluate(batch))
    assert (found.hands, found.left_out) == (29, 1)
    assert found.rank_correlation < -0.8


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"must be \(N,\) both, got \(3,\) and \(2,\)"):
        reliability([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="none of the 2 hands has a score"):
        reliability([np.nan, 1], [1, np.nan])
    with pytest.raises(ValueError, match="coverage must be above 0"):
        reliability([1, 2], [1, 2]).risk_at(0)
