"""Public names that are looked up when they are first used, so that importing a package loads nothing heavy (PEP 562)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose public names live in other modules.

    __getattr__, __dir__ = lazy_names(__name__, {"Mesh": "hamer.rendering.meshes"})

    Args:
        package: the package's `__name__`.
        homes: public name to the module that defines it.
    """

    def getattribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return getattribute, lambda: sorted(homes)
