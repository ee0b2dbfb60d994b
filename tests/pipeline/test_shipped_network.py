"""The network that ships: the file is the one of its card, and it is worth having."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hamer.datasets.synthetic.maker import MadePicture, PictureMaker
from hamer.datasets.synthetic.options import SyntheticOptions
from hamer.evaluation.metrics import pa_mpjpe
from hamer.pipeline import HandReconstructor
from hamer.pipeline.reconstructor import load_hand_model
from hamer.structures import Camera, HandBoxes
from hamer.weights import CARD, require_built_in, sha256_of

from .conftest import KnownHands

N_HANDS = 12
SEED = 990_002  # no recipe of this project trains with it


@pytest.fixture(scope="module")
def pictures() -> list[MadePicture]:
    maker = PictureMaker(
        load_hand_model(), SyntheticOptions(skins=1, second_hand=0.2, held_object=0, occluder=0, person=0), seed=SEED
    )
    return maker.batch(range(N_HANDS))


def _found(picture: MadePicture, rng: np.random.Generator) -> HandBoxes:
    """What a detector might say: joints off by 2 % of the hand, and a guess of them in 3D that is off by 8 mm."""
    points = np.asarray(picture.annotation["keypoints_2d"], np.float32)[:, :2]
    size = np.ptp(points, axis=0).max()
    seen = points + rng.normal(0, 0.02 * size, points.shape)
    box = np.concatenate([seen.min(0), seen.max(0)])[None]
    keypoints = np.concatenate([seen, np.full((21, 1), 0.9)], axis=1)[None]
    guess = (picture.truth.joints + rng.normal(0, 0.008, (21, 3)))[None].astype(np.float32)
    return HandBoxes(box, np.array([picture.truth.is_right]), np.ones(1), keypoints.astype(np.float32), guess)


def _errors(pictures: list[MadePicture], *, refine: bool) -> np.ndarray:
    """PA-MPJPE (N,) in mm on the made hands."""
    model = HandReconstructor.from_pretrained("built-in", detector=lambda images: [], refine=refine)
    rng = np.random.default_rng(0)
    errors = []
    for picture in pictures:
        matrix = picture.truth.camera_matrix
        camera = Camera(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
        result = HandReconstructor(KnownHands(_found(picture, rng)), model.estimator)(picture.rgb, camera=camera)
        joints = torch.from_numpy(result.hands[0].joints)[None]
        errors.append(1e3 * float(pa_mpjpe(joints, torch.from_numpy(picture.truth.joints)[None].to(joints))))
    return np.array(errors)


def test_the_file_is_the_one_of_its_card() -> None:
    card = (Path(__file__).resolve().parents[2] / CARD).read_text(encoding="utf-8")
    assert sha256_of(require_built_in()) in card


def test_its_hands_are_near_the_made_ones(pictures: list[MadePicture]) -> None:
    """A file that does not fit its configuration, or crops and landmarks that are not those of its training, end far off."""
    errors = _errors(pictures, refine=False)
    # 9 mm for points of the landmark model (the card); a hand of average pose has 16 mm
    assert np.median(errors) < 12.0
    assert np.median(_errors(pictures, refine=True)) < np.median(errors)
