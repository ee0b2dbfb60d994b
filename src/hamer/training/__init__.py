"""Training: the Lightning step, its optimisers and adapters, checkpoints that the original reads, distillation.

Needs the extra `train`. The network and its losses are plain modules below (`hamer.models`); drawing is handed in.
"""

from __future__ import annotations

from hamer.lazy import lazy_names

_HOMES = {
    "HamerModule": "hamer.training.module",
    "NonFiniteLossError": "hamer.training.module",
    "SafeCheckpointIO": "hamer.training.checkpointing",
    "TrainingOptions": "hamer.training.options",
    "build_optimisers": "hamer.training.optimisers",
    "merge_lora": "hamer.training.adapters",
}

__all__ = sorted(_HOMES)

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
