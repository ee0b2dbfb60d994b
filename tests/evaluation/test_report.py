"""The report: whole in one file, its words escaped, its figures those of the result, and a browser shows it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hamer.checkpoints.hand_files import load_open_hand
from hamer.evaluation import EvaluationBatch, HandEvaluator, compare
from hamer.evaluation.cases import CaseHand, draw_cases, hand_errors, pick
from hamer.evaluation.matching import DetectionSummary
from hamer.evaluation.outcomes import Latency, SetOutcome, read_record, record
from hamer.evaluation.report import page, write_report
from hamer.evaluation.report_tables import cell
from hamer.evaluation.results import EvaluationResult
from hamer.structures import Camera

from .made_up import hand_points

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FOCAL, SIZE = 400.0, (320, 240)


def made_up_outcome(folder: Path, seed: int = 0, noise: float = 0.004) -> SetOutcome:
    """Thirty hands, three of them missed; the first is the worst and its picture shows it."""
    rng = np.random.default_rng(seed)
    joints, vertices = hand_points(np.random.default_rng(0), 30)
    spread = noise * np.linspace(3, 0.5, 30)
    predicted = joints + spread[:, None, None] * rng.normal(0, 1, joints.shape)
    true_2d, points_2d = (FOCAL * p[..., :2] / p[..., 2:] + (160, 120) for p in (joints, predicted))
    boxes = np.concatenate([true_2d.min(1), true_2d.max(1)], -1)
    ids = [f"hand {i} <left & right>" for i in range(30)]
    evaluator = HandEvaluator(threads=1)
    side = np.arange(30) % 3 > 0
    evaluator.add(
        EvaluationBatch(
            joints=predicted[:27], true_joints=joints[:27], vertices=vertices[:27] * 1.02, true_vertices=vertices[:27],
            keypoints_2d=points_2d[:27], true_keypoints_2d=true_2d[:27], is_right=side[:27], ids=ids[:27],
            box_size=(boxes[:27, 2:] - boxes[:27, :2]).max(-1), scores=1 - 50 * spread[:27],
        )
    )  # fmt: skip
    evaluator.add_result(EvaluationResult.missed(ids[27:], side[27:], np.ones((3, 21), bool)))
    result = evaluator.result()
    cv2.imwrite(str(folder / "picture.jpg"), np.full((SIZE[1], SIZE[0], 3), 120, np.uint8))
    faces = load_open_hand().closed_faces

    def hand_of(row: int) -> CaseHand:
        points = np.concatenate([true_2d[row], np.ones((21, 1))], -1)
        camera = Camera(FOCAL, FOCAL, 160, 120)
        mesh = vertices[row] if row < 27 else None
        return CaseHand(folder / "picture.jpg", boxes[row], points, mesh, faces, camera)

    return SetOutcome(
        "FREIHAND-VAL", "detector", "hamer, vitdet", "a<b>/c.ckpt", f"run{seed}", f"key{seed}", result,
        detection=DetectionSummary(20, 30, 27, 29, 2, 27, 25), groups=np.array(["kitchen", "garden"] * 15),
        latency=Latency("pipeline", 27, 20, 4.0), scoring_seconds=0.5, notes=["a note & more"], figures={"pa_mpjpe": 1.0},
        cases=draw_cases(result, hand_of),
    )  # fmt: skip


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> SetOutcome:
    return made_up_outcome(tmp_path_factory.mktemp("pictures"))


def test_the_page_is_whole_and_offline(outcome: SetOutcome) -> None:
    text = page([outcome])
    assert "http://" not in text
    assert "https://" not in text
    assert "<script" not in text
    for target in re.findall(r"(?:src|href)\s*=\s*['\"]([^'\"]*)", text):
        assert target.startswith("data:image/jpeg;base64,")
    assert text.count("<svg") == 2 + 3  # PCK, joints, and the two of reliability in one


def test_words_are_escaped(outcome: SetOutcome) -> None:
    text = page([outcome])
    assert "hand 0 &lt;left &amp; right&gt;" in text
    assert "<left" not in text
    assert "a&lt;b&gt;/c.ckpt" in text


def test_figures_stand_beside_the_papers(outcome: SetOutcome) -> None:
    text = page([outcome])
    summary = outcome.summary()
    row = next(line for line in text.split("<tr")[1:] if "<td>run0" in line)
    for name, unit in (("pa_mpjpe", "mm"), ("f_5_reflecting", "share"), ("recall", "share")):
        assert f">{cell(summary[name], unit)}<" in row, name
    paper = next(line for line in text.split("<tr") if "HaMeR, paper" in line)
    assert ">6.00<" in paper
    assert ">0.785<" in paper
    assert "arXiv 2312.05251" in text


def test_a_set_without_published_figures_has_none(outcome: SetOutcome, tmp_path: Path) -> None:
    own = made_up_outcome(tmp_path)
    own.name = "MINE"
    assert "paper</td>" not in page([own])


def test_errors_and_empty_sets(outcome: SetOutcome) -> None:
    lost = SetOutcome("HO3D-VAL", "boxes", "hamer", "c", "e", "", EvaluationResult.blank(0), error="no <file>")
    text = page([lost, outcome])
    assert "<b>HO3D-VAL</b>: no &lt;file&gt;" in text
    assert text.count("<h2>HO3D-VAL") == 0
    assert "Figures" in page([lost])


def test_comparison(outcome: SetOutcome, tmp_path: Path) -> None:
    other = made_up_outcome(tmp_path, seed=1, noise=0.012)
    text = page([outcome], [], {"both <sets>": compare(outcome.result, other.result)})
    assert "both &lt;sets&gt;" in text
    row = next(line for line in text.split("<tr") if "<td>PA-MPJPE<" in line)
    assert "first is better" in row  # three times the noise


class TestCases:
    def test_the_worst_the_middle_and_the_missed(self, outcome: SetOutcome) -> None:
        errors, unit = hand_errors(outcome.result)
        assert unit == "mm"
        picked = pick(errors)
        kinds = [kind for _, kind in picked]
        assert (kinds.count("worst"), kinds.count("median"), kinds.count("missed")) == (6, 3, 3)
        worst = [row for row, kind in picked if kind == "worst"]
        assert worst == np.argsort(-np.where(np.isfinite(errors), errors, -1))[:6].tolist()
        middle = [row for row, kind in picked if kind == "median"]
        assert np.median(errors[np.isfinite(errors)]) in errors[middle]

    def test_few_hands_are_shown_once(self) -> None:
        assert pick(np.array([1.0, np.nan, np.inf])) == [(0, "median"), (2, "missed")]
        assert pick(np.zeros(0)) == []

    def test_the_pictures_show_the_mesh(self, outcome: SetOutcome) -> None:
        import base64

        case = outcome.cases[0]
        data = np.frombuffer(base64.b64decode(case.jpeg), np.uint8)
        seen = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert seen.shape == (224, 448, 3)
        assert (np.abs(seen[:, 224:].astype(int) - 120).max(-1) > 30).mean() > 0.1  # a hand over the grey
        missed = next(c for c in outcome.cases if c.kind == "missed")
        gone = cv2.imdecode(np.frombuffer(base64.b64decode(missed.jpeg), np.uint8), cv2.IMREAD_COLOR)
        assert np.abs(gone[:, 232:].astype(int) - 235).max() < 12  # nothing but the blank, and JPEG's noise

    def test_a_picture_that_is_gone_is_left_out(self, outcome: SetOutcome, tmp_path: Path) -> None:
        gone = CaseHand(tmp_path / "absent.jpg", np.array([0, 0, 9, 9.0]), np.zeros((21, 3)))
        assert draw_cases(outcome.result, lambda row: gone) == []


class TestRecord:
    def test_runs_stand_beside_each_other_and_the_same_run_in_place(self, outcome: SetOutcome, tmp_path: Path) -> None:
        other = made_up_outcome(tmp_path, seed=1)
        assert len(record(tmp_path, [outcome])) == 1
        assert len(record(tmp_path, [other])) == 2
        assert len(record(tmp_path, [outcome])) == 2
        runs = read_record(tmp_path)
        assert {r["exp_name"] for r in runs} == {"run0", "run1"}
        assert runs[0]["summary"]["missed"] == 3
        assert runs[0]["by_source"]["kitchen"]["hands"] == 15
        assert "run1" in page([outcome], runs)  # earlier runs are lines of the table

    def test_what_is_no_list_of_runs_is_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / "evaluation.json").write_text("{")
        assert read_record(tmp_path) == []


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_shows_it(outcome: SetOutcome, tmp_path: Path) -> None:
    report, shot = write_report(tmp_path, [outcome]), tmp_path / "report.png"
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,3000",
        "--force-device-scale-factor=1", f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={shot}", report.as_uri(),
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if not shot.is_file():
        pytest.skip(f"chromium cannot take pictures here: {run.stderr[-300:]}")
    seen: Any = cv2.imread(str(shot))
    blue = np.array([178, 114, 0])  # BGR of the bars and of the first curve
    assert (np.abs(seen.astype(int) - blue).max(-1) < 8).sum() > 3000
    ink = (seen.min(-1) < 200).any(1)
    assert np.flatnonzero(ink)[-1] > 1800  # the page is long: tables, charts, pictures one below the other
