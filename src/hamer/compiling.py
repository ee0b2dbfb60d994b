"""How kernels are compiled: by Numba on their first call, without the GIL, kept on disk.

`numba` is None where it is not installed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

try:
    import numba
except ImportError:  # its users have another way, or say what to do
    numba = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` on its first call; keep the machine code on disk where a folder allows it. Without Numba: itself.

    Numba's cache looks for changes only in the file of the function that is called: kernels call none of other
    files that may change.
    """
    if numba is None:
        return function
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError as error:  # neither the package's folder nor the user's cache folder can be written
        logger.info("compiled code will not be kept: %s", error)
        return numba.njit(nogil=True, error_model="numpy")(function)
