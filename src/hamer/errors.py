"""The errors that users meet, each a subclass of the built-in one that fits, so that either can be caught.

A message names what was expected, what came, and what to do.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class HamerError(Exception):
    """Base of all errors that this package raises on purpose."""


class PictureError(HamerError, ValueError):
    """A picture or video that cannot be read."""


class AssetError(HamerError, OSError):
    """A file that had to be fetched or found and was not: missing, incomplete, or not what its manifest says."""


class UnsafeFileError(HamerError, ValueError):
    """A file that asks for more than data when it is read: a pickle naming other classes, an archive leaving its folder."""


class WeightsError(HamerError, ValueError):
    """Weights that do not fit the network: missing, unexpected or misshapen tensors."""


class MissingExtraError(HamerError, ImportError):
    """A part of the package whose optional dependencies are not installed."""


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or raise a MissingExtraError that names the extra to install.

    Args:
        module: import name, e.g. "pytorch_lightning".
        extra: name of the extra in pyproject.toml that carries it.
        purpose: what needs it, to finish the sentence "... is needed for".
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module} is needed for {purpose} and could not be imported ({error}). "
            f"Install it with: pip install 'hamer[{extra}]'"
        ) from error
