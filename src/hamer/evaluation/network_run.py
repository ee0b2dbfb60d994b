"""The network over an evaluation file, hand by annotated hand, as the paper's figures were made; resumable."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from hamer.datasets.image_dataset import ImageDataset
from hamer.errors import PictureError
from hamer.evaluation.batches import EvaluationBatch
from hamer.evaluation.evaluator import HandEvaluator
from hamer.evaluation.original import Evaluator
from hamer.evaluation.prediction_store import PredictionStore
from hamer.evaluation.protocols import Protocol, keeps_ho3d_order
from hamer.evaluation.results import EvaluationResult
from hamer.evaluation.second_look import looked_at
from hamer.geometry.cameras import cam_crop_to_full
from hamer.geometry.mirroring import mirror_points
from hamer.models.devices import exact_float32

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
"""Told the hands (or pictures) done, of how many, and the figures so far."""

LABELS = (
    "keypoints_2d", "keypoints_3d", "orig_keypoints_2d", "box_center", "box_size", "bbox_expand_factor", "img_size", "right",
)  # fmt: skip
_AT_ONCE = 512  # hands scored together


@dataclass
class Ran:
    """How a run over a set went: batches of this run, and (picture, reason) of what could not be used."""

    batches: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


class _Readable(Dataset):
    """The hands of a data set; one whose picture cannot be read becomes its number and the reason."""

    def __init__(self, dataset: ImageDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, idx: int) -> dict[str, Any]:
        try:
            item = self.dataset[idx]
        except (PictureError, ValueError, OSError, cv2.error) as error:
            return {"idx": idx, "failed": str(error)}
        return {name: item[name] for name in ("img", "idx", *LABELS)}


def _collate(items: list[dict[str, Any]]) -> tuple[dict[str, Any] | None, list[tuple[int, str]]]:
    good = [item for item in items if "failed" not in item]
    failed = [(int(item["idx"]), str(item["failed"])) for item in items if "failed" in item]
    return (default_collate(good) if good else None), failed


def predict(
    network: Any,
    dataset: ImageDataset,
    store: PredictionStore,
    *,
    batch_size: int = 16,
    workers: int = 0,
    shuffle: bool = False,
    hands: int | None = None,
    log_freq: int = 10,
    progress: Progress | None = None,
) -> Ran:
    """Fill `store` with the network's outputs and the labels of every hand that it lacks.

    Args:
        network: `hamer.models.HAMER` on its device, in evaluation mode.
        shuffle: in random order (the same each time); the store sorts again.
        hands: only the first so many.
        log_freq: batches between figures for `progress`.

    Raises:
        Whatever the network raises; what was predicted before is kept.
    """
    total = len(dataset) if hands is None else min(hands, len(dataset))
    done = store.done()
    left = [i for i in range(total) if i not in done]
    ran, so_far, finished = Ran(), _SoFar(), total - len(left)
    loader: DataLoader = DataLoader(
        Subset(_Readable(dataset), left), batch_size, shuffle=shuffle and bool(left),  # a sampler refuses to draw from none
        num_workers=min(workers, len(left)),
        collate_fn=_collate, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    try:
        for batch, failed in loader:
            ran.failures += [(str(dataset.imgname[i]), reason) for i, reason in failed]
            if batch is not None:
                rows = _forward(network, batch)
                store.add(rows)
                so_far.add(rows)
                finished += len(rows["idx"])
            ran.batches += 1
            if progress:
                progress(finished, total, so_far.told() if ran.batches % log_freq == 0 else "")
    finally:
        store.flush()
    return ran


@torch.inference_mode()
def _forward(network: Any, batch: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """One batch: outputs as float32, labels, and the network's seconds, shared out evenly."""
    started = time.perf_counter()
    with exact_float32():
        output = looked_at(network, batch["img"].to(network.device))
    arrays = {name: value.float().cpu().numpy() for name, value in output.items()}  # waits for a GPU
    count = len(batch["idx"])
    seconds = np.full(count, (time.perf_counter() - started) / count)
    return {**arrays, **{name: batch[name].numpy() for name in ("idx", *LABELS)}, "seconds": seconds}


class _SoFar:
    """Running share of keypoints within a tenth of the box, for the progress bar."""

    def __init__(self) -> None:
        self._hits, self._visible = 0, 0

    def add(self, rows: Mapping[str, np.ndarray]) -> None:
        batch = EvaluationBatch.from_network(rows, rows)
        assert batch.keypoints_2d is not None
        assert batch.true_keypoints_2d is not None
        assert batch.box_size is not None
        assert batch.keypoint_confidence is not None
        far = np.linalg.norm(batch.keypoints_2d - batch.true_keypoints_2d, axis=-1) / batch.box_size[:, None]
        visible = batch.keypoint_confidence > 0.5
        self._hits += int((visible & (far < 0.1)).sum())
        self._visible += int(visible.sum())

    def told(self) -> str:
        return f"PCK@0.1 {100 * self._hits / self._visible:.1f}" if self._visible else ""


def original_figures(
    name: str, protocol: Protocol, rows: Mapping[str, np.ndarray], keypoint_list: list[int]
) -> tuple[dict[str, float], np.ndarray | None]:
    """What the original's table gets, computed as it does; and the joints for its json, in the set's order, or None."""
    if not rows:
        return {}, None
    count = len(rows["idx"])
    ordered = "HO3D-VAL" if keeps_ho3d_order(name) else name  # whose joints the Evaluator reorders
    metrics, thresholds = protocol.metrics, protocol.pck_thresholds
    evaluator = Evaluator(count, ordered, keypoint_list, 0, metrics, preds=["keypoints_3d"], pck_thresholds=thresholds)
    for start in range(0, count, _AT_ONCE):
        part = {key: torch.from_numpy(values[start : start + _AT_ONCE].copy()) for key, values in rows.items()}
        evaluator(part, part)
    figures = evaluator.get_metrics_dict()
    joints = evaluator.get_preds_dict()["keypoints_3d"]
    return figures, joints if protocol.writes_predictions else None


def score(
    rows: Mapping[str, np.ndarray], ids: np.ndarray, vertices: np.ndarray | None = None, threads: int | None = None
) -> EvaluationResult:
    """Our figures of a run's rows.

    Args:
        ids: (M,) of all hands of the set; `rows["idx"]` picks. vertices: (M, V, 3) true, camera frame, or None.
    """
    evaluator = HandEvaluator(threads=threads)
    count = len(rows["idx"]) if rows else 0
    same_mesh = vertices is not None and count and rows["pred_vertices"].shape[1:] == vertices.shape[1:]
    if vertices is not None and count and not same_mesh:
        logger.warning(
            "vertices are not scored: the network's hand has %d, the set's %d",
            rows["pred_vertices"].shape[1],
            vertices.shape[1],
        )
    for start in range(0, count, _AT_ONCE):
        part = {name: values[start : start + _AT_ONCE] for name, values in rows.items()}
        true_vertices = None
        if same_mesh and vertices is not None:
            mesh = np.asarray(vertices[part["idx"]], np.float64)
            # predictions stay mirrored for left hands, so the truth is mirrored too
            true_vertices = np.where(part["right"][:, None, None] > 0.5, mesh, mirror_points(mesh))
        evaluator.add(
            EvaluationBatch.from_network(part, part, true_vertices=true_vertices, ids=ids[part["idx"]].tolist())
        )
    return evaluator.result()


def in_camera_frame(
    rows: Mapping[str, np.ndarray], row: int, points: str = "pred_vertices"
) -> tuple[np.ndarray, float]:
    """Vertices, or other `points`, (V, 3) of one hand as it is, under the demo's camera, and its focal length in px."""
    width, height = rows["img_size"][row]
    focal = 5000 / 256 * float(max(width, height))
    right = rows["right"][row] > 0.5
    cam = torch.from_numpy(rows["pred_cam"][row : row + 1].astype(np.float64))
    if not right:
        cam = cam * torch.tensor([1.0, -1.0, 1.0])
    center, size, picture = (
        torch.from_numpy(np.asarray(rows[name][row : row + 1], np.float64))
        for name in ("box_center", "box_size", "img_size")
    )
    translation = cam_crop_to_full(cam, center, size, picture, focal).numpy()[0]
    shape = rows[points][row].astype(np.float64)
    return (shape if right else mirror_points(shape)) + translation, focal
