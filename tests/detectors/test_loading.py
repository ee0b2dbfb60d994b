"""Detectors by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hamer import detectors
from hamer.errors import AssetError


@pytest.fixture
def no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has none of the original's files."""
    monkeypatch.setenv("HAMER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HAMER_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("no_files")
@pytest.mark.parametrize(
    ("name", "asset"), [("vitdet", "vitdet"), ("regnety", "regnety"), ("vitpose", "hamer_demo_data")]
)
def test_absent_weights_name_the_command_that_fetches_them(name: str, asset: str) -> None:
    with pytest.raises(AssetError, match=rf"not found.*`hamer fetch {asset}`"):
        detectors.load(name).load()


@pytest.mark.usefixtures("no_files")
@pytest.mark.parametrize("name", ["vitdet", "regnety"])
def test_a_body_detector_is_never_replaced_by_another(name: str) -> None:
    with pytest.raises(AssetError, match=rf"`hamer fetch {name}`"):
        detectors.load_hands(name).load()


def test_names_are_of_what_can_be_loaded() -> None:
    assert set(detectors.BODY_DETECTORS) < set(detectors.hand_detectors()) < set(detectors.names())
    for name in detectors.names():
        with pytest.raises(ValueError, match="does not take these options"):
            detectors.load(name, colour=True)


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(
        ValueError, match=r"unknown detector 'yolo'.*'mediapipe', 'boxes', 'vitdet', 'regnety', 'vitpose'"
    ):
        detectors.load("yolo")
    with pytest.raises(
        ValueError, match=r"unknown hand detector 'vitpose'.*'mediapipe', 'vitdet', 'regnety', 'boxes'$"
    ):
        detectors.load_hands("vitpose")


@pytest.mark.parametrize("options", [{"person_score": 2.0}, {"min_confidence": -0.1}])
def test_wrong_options_of_a_body_detector_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(options))} must lie in 0 to 1"):
        detectors.load_hands("regnety", **options)


def test_unknown_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"does not take these options.*colour"):
        detectors.load("boxes", boxes={}, colour=True)


@pytest.mark.parametrize(
    "options", [{"effort": "lazy"}, {"min_score": 1.5}, {"min_score": float("nan")}, {"max_hands": 0}, {"threads": 0}]
)
def test_wrong_options_of_mediapipe_are_refused_before_anything_is_fetched(options: dict) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(options))} must"):
        detectors.load("mediapipe", **options)


def test_the_room_imports_nothing_heavy() -> None:
    code = "import sys, hamer.detectors; assert not {'cv2', 'torch', 'ai_edge_litert'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import sys, hamer.detectors.mediapipe; assert not {'torch', 'ai_edge_litert'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_litert_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from hamer.detectors.litert import LiteRTNetwork
    from hamer.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingExtraError, match=r"pip install ai-edge-litert.*--boxes file\.json"):
        LiteRTNetwork("palm.tflite")


@pytest.fixture
def body_files_alone(no_files: None, tmp_path: Path) -> Path:
    """Both body detectors' files, empty, without ViTPose's."""
    folder = tmp_path / "_DATA" / "detectron2"
    folder.mkdir(parents=True)
    for name in ("model_final_f05665.pkl", "model_final_ef3a80.pkl"):
        (folder / name).touch()
    return folder


@pytest.mark.usefixtures("body_files_alone")
@pytest.mark.parametrize("name", ["vitdet", "regnety"])
def test_the_second_networks_missing_file_is_told_before_the_first_is_loaded(name: str) -> None:
    with pytest.raises(AssetError, match=r"wholebody.pth: not found.*`hamer fetch hamer_demo_data`"):
        detectors.load_hands(name)
    with pytest.raises(FileNotFoundError, match=r"no weights of vitpose at .*none.pth.*hamer fetch vitpose"):
        detectors.load_hands(name, keypoint_weights="none.pth")


@pytest.mark.parametrize(
    ("name", "person_score", "threshold"),
    [("vitdet", 0.5, 0.25), ("vitdet", 0.1, 0.1), ("regnety", 0.5, 0.5), ("regnety", 0.3, 0.3), ("regnety", 0.7, 0.5)],
)
def test_persons_below_the_networks_own_threshold_can_be_asked_for(
    body_files_alone: Path, name: str, person_score: float, threshold: float
) -> None:
    (body_files_alone / "pose.pth").touch()
    hands = detectors.load_hands(name, person_score=person_score, keypoint_weights=body_files_alone / "pose.pth")
    assert hands.persons.rule.score_threshold == threshold  # type: ignore[attr-defined]
    assert hands.person_score == person_score  # type: ignore[attr-defined]
