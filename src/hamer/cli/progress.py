"""Progress bars of the commands."""

from __future__ import annotations

from types import TracebackType
from typing import Any


class DownloadBars:
    """Progress bars, one a label, with rate and remaining time; used as the `progress` of `assets.fetch`."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._label = ""

    def __call__(self, label: str, done: int, total: int | None) -> None:
        from tqdm import tqdm

        if self._bar is None or label != self._label:
            self.close()
            # what an earlier run brought counts as done, but not for the rate
            self._bar = tqdm(total=total, initial=done, desc=label, unit="B", unit_scale=True, unit_divisor=1000)
            self._label = label
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """End the bar that is shown, if any."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> DownloadBars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
