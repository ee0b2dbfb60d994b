"""Detectors by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hamer import detectors


@pytest.mark.parametrize("name", ["vitdet", "regnety", "vitpose"])
def test_names_of_later_versions_say_so_and_name_the_others(name: str) -> None:
    with pytest.raises(ValueError, match=rf"'{name}' is unavailable in this version.*'mediapipe', 'boxes'"):
        detectors.load(name)


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown detector 'yolo'.*'mediapipe', 'boxes'"):
        detectors.load("yolo")


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


def test_without_litert_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from hamer.detectors.litert import LiteRTNetwork
    from hamer.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingExtraError, match=r"pip install ai-edge-litert.*--boxes file\.json"):
        LiteRTNetwork("palm.tflite")
