"""One network in memory at a time: the same results, and never two of them loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hamer.detectors.stages import Stage
from hamer.errors import WeightsError
from hamer.hand_models import HandModel
from hamer.pipeline import FittingEstimator, HandReconstructor, stages
from hamer.structures import HandBoxes

from .conftest import boxes_of, joints_of


@dataclass
class Scales:
    """Weighs which networks are loaded at any time."""

    loaded: set[str] = field(default_factory=set)
    most: int = 0
    log: list[str] = field(default_factory=list)


class Weighed:
    """Something with weights."""

    def __init__(self, name: str, scales: Scales) -> None:
        self.name, self.scales = name, scales

    def load(self) -> None:
        self.scales.loaded.add(self.name)
        self.scales.most = max(self.scales.most, len(self.scales.loaded))
        self.scales.log.append(self.name)

    def release(self) -> None:
        self.scales.loaded.discard(self.name)


class TwoStages:
    """A detector that sees one person in each picture whose first pixel is not black, and that person's two hands."""

    def __init__(self, hands: HandBoxes, scales: Scales) -> None:
        self.hands = hands
        self.stages = (
            Stage("persons", Weighed("persons", scales), self._persons),
            Stage("keypoints", Weighed("keypoints", scales), self._hands),
        )
        self.scales = scales

    def _persons(self, images: Sequence[np.ndarray], _before: Sequence[Any]) -> list[int]:
        assert "keypoints" not in self.scales.loaded
        return [int(image[0, 0, 0]) for image in images]

    def _hands(self, images: Sequence[np.ndarray], persons: Sequence[int]) -> list[HandBoxes]:
        for image, person in zip(images, persons, strict=True):
            assert person == image[0, 0, 0]  # each picture meets its own result of the stage before
            if person == 13:
                raise RuntimeError("an unlucky picture")
        return [self.hands if person else HandBoxes.empty() for person in persons]

    def __call__(self, images: Sequence[np.ndarray]) -> list[HandBoxes]:
        return self._hands(images, self._persons(images, []))


class WeighedFit(FittingEstimator, Weighed):
    """The fit, as if it were a large network."""

    def __init__(self, model: HandModel, scales: Scales) -> None:
        FittingEstimator.__init__(self, model)
        self.scales = scales


@pytest.fixture
def hands(open_hand: HandModel) -> HandBoxes:
    joints = [joints_of(open_hand, is_right=s, position=(0.1 if s else -0.1, 0, 0.7)) for s in (False, True)]
    return boxes_of(joints, [False, True])


@pytest.fixture
def folder(tmp_path: Path) -> list[Path]:
    paths = []
    for value in (10, 0, 13, 40, 50):
        paths.append(tmp_path / f"{value:02d}.png")
        Image.new("RGB", (640, 480), (value, 9, 9)).save(paths[-1])
    broken = tmp_path / "99.png"
    broken.write_bytes(b"no picture")
    return [*paths, broken]


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "GROUP", 3)


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_stages_give_the_same_with_one_network_at_a_time(
    open_hand: HandModel, hands: HandBoxes, folder: list[Path], batch_size: int
) -> None:
    scales, failed, told = Scales(), [], []
    staged = HandReconstructor(TwoStages(hands, scales), WeighedFit(open_hand, scales), low_memory=True)
    staged.estimator.name = "fit"
    results = list(
        staged.images(
            folder,
            batch_size=batch_size,
            on_error=lambda source, error: failed.append((Path(str(source)).name, str(error))),
            on_stage=lambda name, done, total: told.append((name, done, total)),
        )
    )
    assert scales.most == 1
    assert not scales.loaded
    assert scales.log == ["persons", "keypoints", "fit"] * 2  # two groups of three
    assert [r.path.name for r in results if r.path] == ["10.png", "00.png", "40.png", "50.png"]
    assert [name for name, _ in failed] == ["13.png", "99.png"]
    assert "unlucky" in failed[0][1]
    assert ("persons", 3, 3) in told
    assert ("keypoints", 2, 2) in told

    plain = HandReconstructor(TwoStages(hands, Scales()), FittingEstimator(open_hand))
    for ours, theirs in zip(results, plain.images(folder, on_error=lambda *_: None), strict=True):
        assert ours.path == theirs.path
        assert len(ours.hands) == len(theirs.hands)
        for a, b in zip(ours.hands, theirs.hands, strict=True):
            # the fit of a hand depends on its batch in the last bits only
            np.testing.assert_allclose(a.vertices, b.vertices, atol=1e-5)


def test_one_picture_alone(open_hand: HandModel, hands: HandBoxes, folder: list[Path]) -> None:
    scales = Scales()
    reconstructor = HandReconstructor(TwoStages(hands, scales), WeighedFit(open_hand, scales), low_memory=True)
    reconstructor.estimator.name = "fit"
    assert len(reconstructor(folder[0]).hands) == 2
    assert not scales.loaded


def test_weights_that_cannot_be_loaded_stop_everything(
    open_hand: HandModel, hands: HandBoxes, folder: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(self: Weighed) -> None:
        raise WeightsError("truncated")

    reconstructor = HandReconstructor(TwoStages(hands, Scales()), FittingEstimator(open_hand), low_memory=True)
    monkeypatch.setattr(Weighed, "load", damaged)
    with pytest.raises(WeightsError, match="truncated"):
        list(reconstructor.images(folder, on_error=lambda *_: pytest.fail("not the fault of one picture")))


def test_a_detector_without_stages_works_too(open_hand: HandModel, hands: HandBoxes, folder: list[Path]) -> None:
    from .conftest import KnownHands

    reconstructor = HandReconstructor(KnownHands(hands), FittingEstimator(open_hand), low_memory=True)
    assert [len(r.hands) for r in reconstructor.images(folder[:2])] == [2, 2]


def test_given_boxes_leave_nothing_loaded(open_hand: HandModel, hands: HandBoxes, folder: list[Path]) -> None:
    """Else the next search would load its networks beside it."""

    class FitOfBoxes(WeighedFit):
        def __call__(self, *arguments: Any) -> Any:
            self.load()  # as a network does when it is first asked
            return super().__call__(*arguments)

    class WithLandmarks(TwoStages):
        def landmarks_in_boxes(self, *_arguments: Any) -> HandBoxes:
            return self.hands

    scales = Scales()
    reconstructor = HandReconstructor(WithLandmarks(hands, scales), FitOfBoxes(open_hand, scales), low_memory=True)
    reconstructor.estimator.name = "fit"
    assert len(reconstructor(folder[0], boxes=hands.boxes).hands) == 2
    assert scales.log == ["fit"]
    assert not scales.loaded
    assert len(reconstructor(folder[0]).hands) == 2
    assert scales.most == 1


@pytest.mark.usefixtures("small_groups")
def test_without_stages_the_network_stays(open_hand: HandModel, hands: HandBoxes, folder: list[Path]) -> None:
    """There is nothing else to make room for, and loading takes long."""
    from .conftest import KnownHands

    scales = Scales()
    estimator = WeighedFit(open_hand, scales)
    estimator.name = "fit"
    estimator.load()
    reconstructor = HandReconstructor(KnownHands(hands), estimator, low_memory=True)
    assert len(list(reconstructor.images(folder[:1] * 7))) == 7
    assert scales.log == ["fit"]
    assert scales.loaded == {"fit"}


def test_large_pictures_in_memory_pass_in_smaller_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "MAX_BATCH_PIXELS", 100)
    frames = [np.zeros((10, 10, 3), np.uint8)] * 7
    taken = 0

    def video() -> Any:
        nonlocal taken
        for frame in frames:
            taken += 1
            yield frame

    groups = stages.groups(video())
    assert len(next(groups)) == 3
    assert taken == 3
    assert [len(group) for group in groups] == [3, 1]
    assert [len(group) for group in stages.groups(["a.jpg"] * 7)] == [7]


def test_nothing_is_loaded_for_pictures_that_cannot_be_read(
    open_hand: HandModel, hands: HandBoxes, folder: list[Path]
) -> None:
    scales, failed = Scales(), []
    reconstructor = HandReconstructor(TwoStages(hands, scales), WeighedFit(open_hand, scales), low_memory=True)
    assert not list(reconstructor.images([folder[-1]], on_error=lambda source, _error: failed.append(source)))
    assert failed == [folder[-1]]
    assert scales.log == ["persons"]


def test_a_missing_checkpoint_is_told_before_any_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAMER_DATA", str(tmp_path))
    for name in ("detectron2/model_final_f05665.pkl", "vitpose_ckpts/vitpose+_huge/wholebody.pth"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"not looked into yet")
    with pytest.raises(FileNotFoundError, match=r"no weights at .*none.ckpt.*hamer fetch"):
        HandReconstructor.from_pretrained(tmp_path / "none.ckpt", detector="vitdet", low_memory=True)
