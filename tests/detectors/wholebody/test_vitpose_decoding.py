"""Heatmaps to keypoints, against golden/vitpose/decode.npz, and the table of keypoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from hamer.detectors.wholebody import keypoints as table
from hamer.detectors.wholebody.decoding import decode, unmirrored


def test_made_heatmaps_give_the_originals_keypoints_to_the_last_bit(vitpose_golden: Path) -> None:
    made = np.load(vitpose_golden / "decode.npz")
    maps = torch.from_numpy(made["heatmaps_f16"]).float()
    found = decode(maps, torch.from_numpy(made["center"]), torch.from_numpy(made["scale"]))
    np.testing.assert_array_equal(found.numpy(), made["keypoints"])


def test_a_person_alone_decodes_as_in_a_batch() -> None:
    maps = torch.randn(3, 133, 64, 48, generator=torch.Generator().manual_seed(0))
    centers, scales = torch.rand(3, 2) * 100, torch.rand(3, 2) + 0.1
    together = decode(maps, centers, scales)
    for index in range(3):
        alone = decode(maps[index : index + 1], centers[index : index + 1], scales[index : index + 1])
        assert torch.equal(alone[0], together[index])


def test_unmirroring_moves_one_column_to_the_right() -> None:
    maps = torch.zeros(1, 133, 64, 48)
    left, right = table.LEFT_HAND.start, table.RIGHT_HAND.start
    maps[0, left, 3, 10] = 1
    back = unmirrored(maps)
    assert back[0, right].nonzero().tolist() == [[3, 47 - 10 + 1]]
    assert not back[0, left].any()


def test_unmirroring_keeps_the_first_column() -> None:
    maps = torch.zeros(1, 133, 64, 48)
    maps[0, 0, 0, 47] = 1
    assert unmirrored(maps)[0, 0].nonzero().tolist() == [[0, 0], [0, 1]]


def test_names_and_mirrored_pairs_are_the_originals(vitpose_golden: Path) -> None:
    golden = json.loads((vitpose_golden / "flip_pairs.json").read_text())
    assert list(table.NAMES) == golden["names"]
    assert list(table.MIRRORED) == golden["permutation"]


def test_parts_name_what_they_hold() -> None:
    assert table.NAMES[table.LEFT_HAND][0] == "left_hand_root"
    assert table.NAMES[table.RIGHT_HAND][20] == "right_pinky_finger4"
    for parts, name in (
        (table.WRISTS, "wrist"),
        (table.ELBOWS, "elbow"),
        (table.SHOULDERS, "shoulder"),
        (table.HIPS, "hip"),
        (table.EARS, "ear"),
    ):
        assert [table.NAMES[index] for index in parts] == [f"left_{name}", f"right_{name}"]
