"""Which device a network runs on, on how many CPU threads, how exactly, and giving its memory back."""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

logger = logging.getLogger(__name__)


def pick_device(device: str = "auto") -> torch.device:
    """The torch device for a name; "auto" takes CUDA, else Apple's GPU, else the CPU.

    Raises ValueError for a name that torch does not know or a device that this machine does not have.
    """
    if device != "auto":
        try:
            chosen = torch.device(device)
            torch.empty(1, device=chosen)
        # what torch raises for unknown names, missing drivers and devices, and builds without that kind
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).strip().split("\n")[0]
            raise ValueError(
                f"device must be auto, cpu, or one that this machine has (cuda, cuda:1, mps), got {device!r}: {reason}"
            ) from error
        return chosen
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """Torch with so many CPU threads inside, and with its own number again after; None changes nothing."""
    if number is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def no_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Switches automatic half precision off inside, on devices where it exists in every torch."""
    return torch.autocast(device.type, enabled=False) if device.type in ("cpu", "cuda") else nullcontext()


@contextmanager
def exact_float32() -> Iterator[None]:
    """Convolutions of float32 numbers in full float32 inside, on NVIDIA's GPUs too.

    There torch lets cuDNN round their factors to TF32, 10 bits of mantissa instead of 23, unless told otherwise: "float32"
    would then be no reference, and what is chosen by comparing numbers would depend on the card. Matrix products are exact
    by default; who has changed that is left their choice, as is who has chosen by torch's newer `fp32_precision`. The
    setting is the process's, not the thread's.
    """
    cudnn = torch.backends.cudnn
    try:
        before = cudnn.allow_tf32
    except RuntimeError as error:  # torch refuses to tell where the newer setting was used
        logger.debug("the precision of convolutions is left as it was set: %s", error)
        yield
        return
    cudnn.allow_tf32 = False
    try:
        yield
    finally:
        cudnn.allow_tf32 = before


def free_memory() -> None:
    """Give back to the system what torch and the C library keep of networks that are gone."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
    if sys.platform.startswith("linux"):
        # Tensors of a few megabytes come out of glibc's heap, which keeps the gigabytes of a network for later use.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # other C libraries have no such function
            trim(0)
