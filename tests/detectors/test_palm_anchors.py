"""Anchors and the decoding of the palm detector's outputs."""

from __future__ import annotations

import numpy as np

from hamer.detectors import palm


def test_anchors_are_two_per_fine_and_six_per_coarse_cell() -> None:
    anchors = palm.anchors()
    assert anchors.shape == (2016, 2)
    fine, coarse = anchors[: 24 * 24 * 2], anchors[24 * 24 * 2 :]
    np.testing.assert_allclose(fine[0], [0.5 / 24, 0.5 / 24])
    np.testing.assert_array_equal(fine[0], fine[1])
    np.testing.assert_allclose(fine[2], [1.5 / 24, 0.5 / 24])  # the next cell lies to the right
    np.testing.assert_allclose(coarse[-1], [11.5 / 12, 11.5 / 12])
    assert len(np.unique(coarse, axis=0)) == 144


def test_decoding_undoes_encoding() -> None:
    rng = np.random.default_rng(0)
    boxes, keypoints = rng.random((2016, 4)), rng.random((2016, 7, 2))
    decoded, points, _ = palm.decode(palm.encode(boxes, keypoints), np.zeros(2016))
    # Anchors are float32, everything else float64.
    np.testing.assert_allclose(decoded, boxes, atol=1e-6)
    np.testing.assert_allclose(points, keypoints, atol=1e-6)


def test_scores_are_probabilities_even_of_extreme_logits() -> None:
    raw = np.zeros((5, 2016, 18))
    logits = np.zeros((5, 2016, 1))
    logits[:, 0, 0] = [-1e4, -1, 0, 1, 1e4]
    _, _, scores = palm.decode(raw, logits)
    assert np.isfinite(scores).all()
    assert (np.diff(scores[:, 0]) > 0).all()
    assert scores[2, 0] == 0.5
