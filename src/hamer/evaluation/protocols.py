"""How each set of the paper is evaluated: what the crop shows, what is measured, what is written."""

from __future__ import annotations

from dataclasses import dataclass

from hamer.evaluation.pck import PAPER_THRESHOLDS


@dataclass(frozen=True)
class Protocol:
    """One set's way.

    Attributes:
        rescale_factor: crop over the box's longer side; -1 takes the box itself, brought to the network's aspect ratio.
        metrics: of the original's Evaluator that its table gets; empty where it only writes predictions.
        pck_thresholds: in sides of the hand's box, or None.
        writes_predictions: a json for the public evaluation programs (`hamer score`).
    """

    rescale_factor: float
    metrics: tuple[str, ...] = ()
    pck_thresholds: tuple[float, ...] | None = None
    writes_predictions: bool = False


_SERVER = Protocol(-1, writes_predictions=True)
_HINT = Protocol(2, ("mode_kpl2",), PAPER_THRESHOLDS)

ORIGINAL: dict[str, Protocol] = {
    "FREIHAND-VAL": _SERVER,
    "HO3D-VAL": _SERVER,
    **{f"{source}-TEST-{part}": _HINT for source in ("NEWDAYS", "EPICK", "EGO4D") for part in ("ALL", "VIS", "OCC")},
}
"""The eleven sets of the original's `eval.py`, in its order."""

_OTHERS = {"HO3D-V3-VAL": _SERVER}

OWN = Protocol(2)
"""Any other set: the demo's crop, and every figure that the labels allow."""


def protocol_of(name: str) -> Protocol:
    """The original's way for its sets and for HO-3D v3, `OWN` for any other."""
    return (ORIGINAL | _OTHERS).get(name, OWN)


def keeps_ho3d_order(name: str) -> bool:
    """Whether the set's program counts joints in HO-3D's order."""
    return name.startswith("HO3D") and protocol_of(name).writes_predictions
