"""Your own pictures and joints as training data: packed, looked over, drawn.

python examples/05_own_training_data.py examples/pictures packed
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from hamer.datasets.checking.drawing import ContactSheet
from hamer.datasets.checking.findings import Findings
from hamer.datasets.checking.tars import check_tar
from hamer.datasets.packing import DataSetCard, HandAnnotation, PictureAnnotation, Pictures, pack
from hamer.pipeline.reconstructor import load_hand_model
from hamer.results.writing import write_picture


def with_confidence(points: list[list[float]]) -> np.ndarray:
    """Points (21, n) with a column of ones: every joint is labelled."""
    return np.c_[points, np.ones(21)]


def main(folder: str = "examples/pictures", out_folder: str = "packed") -> None:
    """Pack the pictures that truth.json describes, check the tars, draw a sheet, and say how to train."""
    source, target = Path(folder), Path(out_folder)
    truth = json.loads((source / "truth.json").read_text())

    def annotation(name: str) -> PictureAnnotation:
        hands = [
            HandAnnotation(
                hand["is_right"],  # a left hand as the left hand that it is
                keypoints_2d=with_confidence(hand["keypoints_2d"]),  # px; the box is drawn around them
                keypoints_3d=with_confidence(hand["joints"]),  # metres, camera frame
            )
            for hand in truth[name]
        ]
        return PictureAnnotation(source / name, name, hands)

    shards = pack(Pictures(sorted(truth), annotation, files=[source / "truth.json"]), target)
    card = DataSetCard.of(shards, name="OWN-TRAIN", licence="Apache-2.0", source="drawn by this project")
    card.write(target)

    findings, sheet = Findings(), ContactSheet(8, load_hand_model("open"))
    for shard in card.shards:
        check_tar(target / shard["name"], findings, show=sheet.add)
    print("\n".join(findings.lines()))
    picture = sheet.picture()
    if picture is not None:
        print("look at", write_picture(target / "sheet.jpg", picture))
    print(f"hamer train exp_name=mine data=own DATASETS.FILE={target / 'dataset.yaml'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
