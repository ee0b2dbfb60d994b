"""Whether torchvision's compiled operators can be used.

The package may be absent, may have been built for another torch (then it raises, or warns and has no operators), or may
lack kernels for a device. So they are tried once on a tiny input for each kind of device.
"""

from __future__ import annotations

import functools
import importlib
import logging
from types import ModuleType

import torch

_LOG = logging.getLogger(__name__)


@functools.cache
def torchvision_ops(device_type: str) -> ModuleType | None:
    """`torchvision.ops` if its `nms` and `roi_align` run on devices of this kind ("cpu", "cuda" ...), else None."""
    try:
        ops = importlib.import_module("torchvision.ops")
        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0]], device=device_type)
        kept = ops.nms(boxes, torch.tensor([0.5, 0.9], device=device_type), 0.5)
        pooled = ops.roi_align(torch.ones(1, 1, 4, 4, device=device_type), [boxes[:1]], 1, aligned=True)
        if kept.tolist() != [1] or abs(pooled.item() - 1.0) > 1e-3:
            raise RuntimeError(f"nms gave {kept.tolist()}, roi_align gave {pooled.tolist()}")
    # whatever a half-installed binary package raises: ImportError, OSError of the loader, RuntimeError, AttributeError
    except Exception as error:
        _LOG.debug(
            "torchvision's operators are not used on %s, ours are: %s: %s", device_type, type(error).__name__, error
        )
        return None
    _LOG.debug("torchvision's operators run on %s", device_type)
    return ops
