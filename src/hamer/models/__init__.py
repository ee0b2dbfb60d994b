"""Networks as plain modules: ViT backbone, transformer decoder head, HAMER, discriminator, losses, loading."""

from __future__ import annotations

from typing import Any

from hamer.lazy import lazy_names

_HOMES = {
    "Discriminator": "hamer.models.discriminator",
    "HAMER": "hamer.models.hamer",
    "HamerConfig": "hamer.models.config",
    "MANO": "hamer.models.mano_wrapper",
    "ViTConfig": "hamer.models.config",
    "build_hamer": "hamer.models.hamer",
    "download_models": "hamer.assets",
    "load_hamer": "hamer.models.loading",
    "load_network": "hamer.models.loading",
    "recommended_precision": "hamer.models.precision",
    "set_precision": "hamer.models.precision",
}

__all__ = ["DEFAULT_CHECKPOINT", *_HOMES]

_lookup, __dir__ = lazy_names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name == "DEFAULT_CHECKPOINT":  # read each time: HAMER_DATA may be set after the import
        from hamer.configs.reader import default_checkpoint

        return default_checkpoint()
    return _lookup(name)
