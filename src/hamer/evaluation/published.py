"""Figures that papers state for the sets, each with its source (`published.yaml`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from omegaconf import OmegaConf


@dataclass(frozen=True)
class Published:
    """One method's figures on one set, under the names of `EvaluationSummary`; lengths in mm, shares 0 to 1."""

    set: str
    method: str
    source: str
    figures: dict[str, float]


@cache
def published() -> tuple[Published, ...]:
    """All of them."""
    entries = OmegaConf.to_container(OmegaConf.load(Path(__file__).with_suffix(".yaml")))
    assert isinstance(entries, list)
    return tuple(Published(e["set"], e["method"], e["source"], dict(e["figures"])) for e in entries)


def published_for(name: str) -> tuple[Published, ...]:
    """Those of one set."""
    return tuple(entry for entry in published() if entry.set == name)
