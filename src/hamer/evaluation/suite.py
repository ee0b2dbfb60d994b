"""Several sets, one after the other: each is predicted, scored, written; the error of one does not lose the others.

suite = EvaluationSuite(SuiteOptions(checkpoint="hamer.ckpt", results_folder="results"))
outcomes = [suite.run_named(name) for name in ("FREIHAND-VAL", "NEWDAYS-TEST-ALL")]
suite.finish(outcomes)                       # evaluation.json and report.html
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hamer.assets import find_original
from hamer.configs import ConfigNode, dataset_config, dataset_eval_config
from hamer.datasets import create_dataset
from hamer.datasets.image_dataset import ImageDataset
from hamer.errors import AssetError
from hamer.evaluation import network_run, picture_run
from hamer.evaluation.annotated_sets import AnnotatedSet, camera_of, read_npz_set, read_photos
from hamer.evaluation.cases import CaseHand, draw_cases
from hamer.evaluation.matching import DetectionSummary
from hamer.evaluation.outcomes import Latency, SetOutcome, record
from hamer.evaluation.prediction_store import PredictionStore, fingerprint
from hamer.evaluation.protocols import ORIGINAL, keeps_ho3d_order, protocol_of
from hamer.evaluation.regression_csv import append_rows, default_exp_name, write_predictions
from hamer.evaluation.report import write_report
from hamer.evaluation.results import EvaluationResult
from hamer.evaluation.suite_options import SuiteOptions
from hamer.pipeline import HandReconstructor, NetworkEstimator
from hamer.pipeline.building import build_estimator, model_name, settled, weights_file
from hamer.results.run_folder import identity
from hamer.structures import Camera

logger = logging.getLogger(__name__)

_INFERENCE = {"MODEL": {"IMAGE_SIZE": 256, "BBOX_SHAPE": [192, 256]}, "DATASETS": {}}
_SHOWN = ("mpjpe", "pa_mpjpe", "pa_mpjpe_reflecting", "auc_pa", "auc_pa_reflecting", "mpvpe", "pa_mpvpe",
          "pa_mpvpe_reflecting", "auc_mesh_pa", "auc_mesh_pa_reflecting", "f_5", "f_15", "f_5_reflecting",
          "f_15_reflecting", "kpl2", "pck_0.05", "pck_0.1", "pck_0.15", "recall", "precision", "side_accuracy")  # fmt: skip


OnProgress = Callable[[str, int, int, str], None]
"""Told the set's name, how much of it is done, of how much, and the figures so far."""


class EvaluationSuite:
    """Evaluates sets with one model; the model is loaded once, when the first set needs it."""

    def __init__(self, options: SuiteOptions, *, progress: OnProgress | None = None) -> None:
        self.options = options
        self.folder = Path(options.results_folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._progress = progress
        self.way = settled(options.checkpoint)
        self._network: Any = None
        self._cfg: Any = None

    def load(self) -> None:
        """Load the checkpoint now, so that a missing or wrong one is told before any set."""
        if self._is_checkpoint:
            self._loaded()

    def release(self) -> None:
        """Free the network; the next set loads it again."""
        self._network = None

    @property
    def sets(self) -> ConfigNode:
        """The sets that can be named. Raises ValueError for a list whose entries name no files."""
        given = self.options.datasets_file
        if given is None:
            return dataset_eval_config()
        sets = dataset_config(str(given))
        for name, entry in sets.items():
            if not isinstance(entry, Mapping) or not {"DATASET_FILE", "IMG_DIR"} <= set(entry):
                raise ValueError(
                    f"{given}: {name} must have DATASET_FILE (an npz) and IMG_DIR, as `hamer data convert` writes them"
                )
        return sets

    def present_sets(self) -> list[str]:
        """Those whose annotation files are here."""
        return [name for name, entry in self.sets.items() if Path(entry["DATASET_FILE"]).is_file()]

    def run_named(self, name: str) -> SetOutcome:
        """A set of `sets`; errors become the outcome's, KeyboardInterrupt goes through once predictions are safe."""
        return self._guarded(name, lambda: self._run_named(name))

    def run_photos(self, path: str | Path) -> SetOutcome:
        """Annotated photos (`hamer.evaluation.annotated_sets.read_photos`)."""
        return self._guarded(Path(path).stem, lambda: self._run_pictures(read_photos(path)))

    def finish(self, outcomes: list[SetOutcome], comparisons: Mapping[str, Any] | None = None) -> Path:
        """Write `evaluation.json` and `report.html`; returns the report's path."""
        known = record(self.folder, [o for o in outcomes if len(o.result)])
        return write_report(self.folder, outcomes, known, comparisons or {})

    def _guarded(self, name: str, run: Callable[[], SetOutcome]) -> SetOutcome:
        try:
            return run()
        except Exception as error:  # one set must not lose the others
            logger.info("%s failed", name, exc_info=True)
            told = str(error) or type(error).__name__
            if "out of memory" in told:
                told += " (a smaller batch_size needs less)"
            outcome = self._outcome(name, "", EvaluationResult.blank(0))
            outcome.error = told
            self._append(outcome, {}, repr(error), 0)
            return outcome

    def _run_named(self, name: str) -> SetOutcome:
        if name not in self.sets:
            raise ValueError(f"dataset must be one of {', '.join(self.sets)}, got {name!r}")
        entry = self.sets[name]
        dataset = self._dataset(name, entry)
        annotated = read_npz_set(name, dataset, entry["DATASET_FILE"])
        if self.options.mode == "boxes" and self._is_checkpoint:
            return self._run_network(name, entry, dataset, annotated)
        return self._run_pictures(annotated)

    def _dataset(self, name: str, entry: Mapping[str, Any]) -> ImageDataset:
        if not Path(entry["DATASET_FILE"]).is_file():
            raise AssetError(
                f"no annotation file at {entry['DATASET_FILE']} (relative to {Path.cwd()}): fetch the original's with "
                "`hamer fetch hamer_evaluation_data` in this folder, or make it from the official release with "
                "`hamer data convert` and name its list with --datasets_file"
            )
        cfg = ConfigNode(_INFERENCE)
        if self.options.mode == "boxes" and self._is_checkpoint:
            _, cfg = self._loaded()
        dataset = create_dataset(cfg, entry, train=False, rescale_factor=protocol_of(name).rescale_factor)
        if len(dataset) and not Path(entry["IMG_DIR"]).is_dir():
            raise AssetError(
                f"no folder of pictures at {entry['IMG_DIR']} (relative to {Path.cwd()}): download the set from its own "
                "site and unpack it there, or give its place as IMG_DIR in a list of sets (--datasets_file); "
                "`hamer data convert` writes such a list"
            )
        return dataset

    # The network on crops of an annotation file, as the paper.

    def _run_network(
        self, name: str, entry: Mapping[str, Any], dataset: ImageDataset, annotated: AnnotatedSet
    ) -> SetOutcome:
        network, _ = self._loaded()
        protocol = protocol_of(name)
        key = self._key(name, identity(Path(entry["DATASET_FILE"])), str(Path(entry["IMG_DIR"]).resolve()), "crops")
        store = self._store(name, key)
        options = self.options
        ran = network_run.predict(
            network, dataset, store, batch_size=options.batch_size, workers=options.num_workers, shuffle=options.shuffle,
            hands=options.max_hands, log_freq=options.log_freq, progress=self._told(name),
        )  # fmt: skip
        rows = _first(store.rows(), options.max_hands)
        if not rows:
            raise ValueError(_failed(ran.failures, len(dataset)) or f"{entry['DATASET_FILE']} holds no hand")
        started = time.perf_counter()
        keypoint_list = [int(i) for i in entry.get("KEYPOINT_LIST", [0])]
        figures, joints = network_run.original_figures(name, protocol, rows, keypoint_list)
        result = network_run.score(rows, annotated.ids, annotated.vertices, options.threads)
        outcome = self._outcome(name, key, result)
        outcome.scoring_seconds = time.perf_counter() - started
        outcome.error = _failed(ran.failures, len(dataset))
        outcome.latency = Latency("network", len(result), 0, float(rows["seconds"].sum()))
        if name not in ORIGINAL or not figures:
            figures |= self._own_figures(outcome)
        if joints is not None and options.writes_json:
            self._write_json(outcome, joints, rows["pred_vertices"], len(dataset))
        faces = network.mano.arrays.closed_faces if hasattr(network.mano, "arrays") else np.asarray(network.mano.faces)

        def hand_of(row: int) -> CaseHand:
            number = int(rows["idx"][row])
            vertices, focal = network_run.in_camera_frame(rows, row)
            width, height = (float(v) for v in rows["img_size"][row])
            path = annotated.pictures[annotated.picture_of[number]]
            camera = Camera(focal, focal, width / 2, height / 2)
            return CaseHand(path, annotated.boxes[number], annotated.keypoints_2d[number], vertices, faces, camera)

        return self._ended(outcome, figures, ran, hand_of)

    # Whole pictures, by the pipeline.

    def _run_pictures(self, annotated: AnnotatedSet) -> SetOutcome:
        options = self.options
        if options.max_hands is not None:
            annotated = annotated.first(options.max_hands)
        key = self._key(
            annotated.name, [str(p.resolve()) for p in annotated.pictures], options.mode, *self._given(annotated)
        )
        store = self._store(annotated.name, key)
        reconstructor = self._reconstructor(annotated)
        ran = picture_run.reconstruct(
            reconstructor,
            annotated,
            store,
            batch_size=min(options.batch_size, 8),
            known_cameras=options.mode == "boxes",
            progress=self._told(annotated.name),
        )
        rows = store.rows()
        if not rows:
            raise ValueError(_failed(ran.failures, len(annotated.pictures)) or "there is no picture to look at")
        started = time.perf_counter()
        row_of, looked_at, found = picture_run.pair(annotated, rows, options.mode, options.min_iou)
        result = picture_run.score(annotated, rows, row_of, looked_at, options.threads)
        outcome = self._outcome(annotated.name, key, result)
        outcome.scoring_seconds = time.perf_counter() - started
        outcome.groups = annotated.groups[looked_at]
        if options.mode == "detector":
            outcome.detection = found
            outcome.detection_by_group = self._by_group(annotated, rows)
        outcome.error = _failed(ran.failures, len(annotated.pictures))
        outcome.latency = Latency("pipeline", int(rows["is_hand"].sum()), found.pictures, float(rows["seconds"].sum()))
        faces = reconstructor.estimator.hand_model.arrays.closed_faces
        numbers = np.flatnonzero(looked_at)

        def hand_of(row: int) -> CaseHand:
            number = int(numbers[row])
            case = CaseHand(
                annotated.pictures[annotated.picture_of[number]],
                annotated.match_boxes[number],
                annotated.keypoints_2d[number],
            )
            if row_of[number] >= 0:
                camera = camera_of(rows["camera"][row_of[number]])
                case = replace(case, vertices=rows["vertices"][row_of[number]], faces=faces, camera=camera)
            return case

        return self._ended(outcome, self._own_figures(outcome), ran, hand_of)

    def _given(self, annotated: AnnotatedSet) -> list[Any]:
        """What predictions rest on beside the pictures: the detector and its settings, or all that the annotations give."""
        options = self.options
        if options.mode == "detector":
            settings = {name: value for name, value in options.detector_options.items() if name != "threads"}
            return [options.detector, settings]
        cameras = [None if c is None else [c.fx, c.fy, c.cx, c.cy] for c in annotated.cameras]
        return [annotated.boxes.tolist(), annotated.is_right.tolist(), annotated.side_known.tolist(), cameras]

    def _by_group(self, annotated: AnnotatedSet, rows: Mapping[str, np.ndarray]) -> dict[str, DetectionSummary]:
        found = {}
        for group in dict.fromkeys(annotated.groups.tolist()):
            pictures = np.unique(annotated.picture_of[annotated.groups == group])
            kept = np.isin(rows["idx"] // picture_run.ROWS, pictures)
            part = {name: values[kept] for name, values in rows.items()}
            found[group] = picture_run.pair(annotated, part, self.options.mode, self.options.min_iou)[2]
        return found

    def _reconstructor(self, annotated: AnnotatedSet) -> HandReconstructor:
        options = self.options
        estimator: Any
        if self._is_checkpoint:
            estimator = NetworkEstimator(
                self._loaded()[0], rescale_factor=options.rescale_factor, batch_size=options.batch_size
            )
        else:
            estimator = build_estimator(
                self.way, hand_model=options.hand_model, rescale_factor=options.rescale_factor,
                batch_size=options.batch_size, device=options.device, precision=options.precision,
            )  # fmt: skip
        if options.mode == "boxes":
            boxes = picture_run.annotated_boxes(annotated, landmarks=not self._is_checkpoint)
            return HandReconstructor(boxes, estimator, detector_name="annotated boxes")
        from hamer.detectors import BODY_DETECTORS, load_hands

        given = dict(options.detector_options)
        detector = load_hands(
            options.detector, **({"device": options.device, **given} if options.detector in BODY_DETECTORS else given)
        )
        return HandReconstructor(detector, estimator, detector_name=options.detector)

    # What both share.

    @property
    def _is_checkpoint(self) -> bool:
        """Whether a file of the caller's is evaluated, as the paper's network is."""
        return isinstance(self.way, Path)

    def _loaded(self) -> tuple[Any, Any]:
        if self._network is None:
            from hamer.models import load_hamer
            from hamer.models.devices import pick_device

            options = self.options
            network, self._cfg = load_hamer(
                options.checkpoint, device=pick_device(options.device), precision=options.precision
            )
            self._network = network.eval()
        return self._network, self._cfg

    def _key(self, *parts: Any) -> str:
        options = self.options
        file = weights_file(self.way)
        model: list[Any] = [str(self.way)]
        if file is not None:
            model.append(identity(file if file.exists() else find_original(file) or file))
        chosen = [options.rescale_factor] if self._is_checkpoint else [options.hand_model, options.rescale_factor]
        return fingerprint({"parts": parts, "model": model, "precision": options.precision, "chosen": chosen})

    def _store(self, name: str, key: str) -> PredictionStore:
        store = PredictionStore(self.folder / "predictions" / f"{name.lower()}-{key}")
        if self.options.overwrite:
            store.clear()
        return store

    def _outcome(self, name: str, key: str, result: EvaluationResult) -> SetOutcome:
        options = self.options
        checkpoint = str(self.way)
        exp_name = options.exp_name or (default_exp_name(self.way) if isinstance(self.way, Path) else checkpoint)
        model = "hamer"
        if not isinstance(self.way, Path):
            model = model_name(self.way, options.hand_model)
        if options.mode == "detector":
            model += f", {options.detector}"
        return SetOutcome(name, options.mode, model, checkpoint, exp_name, key, result)

    def _own_figures(self, outcome: SetOutcome) -> dict[str, float]:
        summary = outcome.summary()
        prefix = "detector_" if outcome.mode == "detector" else ""
        return {f"{prefix}{name}": float(summary[name]) for name in _SHOWN if summary.get(name) is not None}

    def _write_json(self, outcome: SetOutcome, joints: np.ndarray, vertices: np.ndarray, expected: int) -> None:
        if len(joints) != expected:
            outcome.notes.append(
                f"{outcome.name.lower()}.json was not written: the programs that score it want all {expected} hands, "
                f"and there are {len(joints)}"
            )
            return
        path = write_predictions(self.folder, outcome.name, joints, vertices)
        outcome.files["predictions for the public programs"] = path.name
        program = "ho3d" if keeps_ho3d_order(outcome.name) else "freihand"
        outcome.notes.append(f"hamer score {program} {path.name} GT_DIR gives the public program's figures")

    def _ended(
        self, outcome: SetOutcome, figures: dict[str, float], ran: network_run.Ran, hand_of: Callable[[int], CaseHand]
    ) -> SetOutcome:
        outcome.figures = figures
        hands = self.folder / "hands"
        hands.mkdir(exist_ok=True)
        path = outcome.result.save(hands / f"{outcome.name.lower()}-{outcome.key}.npz")
        outcome.files["a row a hand"] = path.relative_to(self.folder).as_posix()
        iterations = max(ran.batches - 1, 0) if outcome.error is None else 0  # the original's index of the last batch
        self._append(outcome, figures, outcome.error, iterations)
        outcome.cases = draw_cases(outcome.result, hand_of)
        return outcome

    def _append(self, outcome: SetOutcome, figures: dict[str, float], error: str | None, iterations: int) -> None:
        append_rows(
            self.folder, figures, checkpoint=outcome.checkpoint, dataset=outcome.name, exp_name=outcome.exp_name,
            error=error, iters_done=iterations,
        )  # fmt: skip

    def _told(self, name: str) -> network_run.Progress | None:
        if self._progress is None:
            return None
        tell = self._progress
        return lambda done, total, figures: tell(name, done, total, figures)


def _first(rows: dict[str, np.ndarray], hands: int | None) -> dict[str, np.ndarray]:
    if hands is None or not rows:
        return rows
    kept = rows["idx"] < hands
    return {name: values[kept] for name, values in rows.items()}


def _failed(failures: list[tuple[str, str]], total: int) -> str | None:
    if not failures:
        return None
    return f"{len(failures)} of {total} could not be used; the first: {failures[0][0]}: {failures[0][1]}"
