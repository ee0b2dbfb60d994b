"""Which device a network runs on, and on how many CPU threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
