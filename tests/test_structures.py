from __future__ import annotations

import numpy as np

from hamer.structures import HandBoxes


def some(count: int, *, keypoints: bool, note: str = "") -> HandBoxes:
    points = np.full((count, 21, 3), 7.0) if keypoints else None
    notes = (note,) if note else ()
    return HandBoxes(np.ones((count, 4)), np.ones(count, bool), np.full(count, 0.5), points, points, notes)


class TestFollowedBy:
    def test_hands_notes_and_keypoints_of_both(self) -> None:
        both = some(2, keypoints=True, note="a").followed_by(some(1, keypoints=True, note="b"))
        assert len(both) == 3
        assert both.notes == ("a", "b")
        assert both.keypoints_2d is not None
        assert (both.keypoints_2d == 7).all()

    def test_unknown_keypoints_are_nan(self) -> None:
        for first, second, known in ((True, False, [True, True, False]), (False, True, [False, False, True])):
            both = some(2, keypoints=first).followed_by(some(1, keypoints=second))
            assert both.keypoints_2d is not None
            assert both.keypoints_3d is not None
            assert np.isfinite(both.keypoints_2d).all((1, 2)).tolist() == known
            assert np.isfinite(both.keypoints_3d).all((1, 2)).tolist() == known

    def test_none_where_neither_has_any(self) -> None:
        both = HandBoxes.empty().followed_by(some(1, keypoints=False))
        assert len(both) == 1
        assert both.keypoints_2d is None
