"""How sets are evaluated: the settings of `hamer.evaluation.suite.EvaluationSuite`, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamer.evaluation.matching import MIN_IOU
from hamer.evaluation.picture_run import Mode

if TYPE_CHECKING:
    from hamer.models.precision import Precision


@dataclass(frozen=True)
class SuiteOptions:
    """What is evaluated, and how.

    Attributes:
        checkpoint: HaMeR weights; "built-in" (the network that comes with hamer, refined by landmarks), "fit" (landmarks, then
            a fit), or None for the first of the two that is here.
        results_folder: made if it does not exist.
        mode: "boxes" gives every annotated hand's box, as the paper; "detector" searches whole pictures, as users do.
        detector, detector_options: of the detector mode, see `hamer.detectors.load_hands`.
        batch_size, num_workers, shuffle, log_freq: of the network's loader.
        exp_name: in the table; None for the folder above the checkpoint's.
        max_hands: only the first so many hands (boxes of a file) or pictures (otherwise).
        overwrite: predict again what an earlier run finished.
        datasets_file: a list of sets as `hamer data convert` writes it; None for the original's eleven.
        min_iou: overlap from which a found hand is the annotated one.
        rescale_factor: of the pipeline's crops; None as the network was trained, as in the demo.
        writes_json: predictions for the public programs, where a set has one.
    """

    checkpoint: str | Path | None = None
    results_folder: Path = Path("results")
    mode: Mode = "boxes"
    detector: str = "mediapipe"
    detector_options: Mapping[str, Any] = field(default_factory=dict)
    hand_model: str = "open"
    device: str = "auto"
    precision: Precision = "float32"
    batch_size: int = 16
    num_workers: int = 0
    shuffle: bool = False
    log_freq: int = 10
    exp_name: str | None = None
    max_hands: int | None = None
    overwrite: bool = False
    datasets_file: Path | None = None
    min_iou: float = MIN_IOU
    rescale_factor: float | None = None
    threads: int | None = None
    writes_json: bool = True

    def __post_init__(self) -> None:
        for name in ("batch_size", "log_freq"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.num_workers < 0:
            raise ValueError(f"num_workers must be 0 or more, got {self.num_workers}")
        if self.mode not in ("boxes", "detector"):
            raise ValueError(f"mode must be 'boxes' or 'detector', got {self.mode!r}")
        if not 0 < self.min_iou <= 1:
            raise ValueError(f"min_iou must be above 0 and at most 1, got {self.min_iou}")
