"""Small charts as SVG text, for reports that need no plotting library: lines, bands and bars over two axes.

chart = Chart("PCK", x_label="threshold", y_label="share of joints", y_range=(0, 1))
chart.line(thresholds, shares, "all joints")
Path("pck.svg").write_text(chart.svg())
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

Numbers = Sequence[float] | np.ndarray

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Told apart by colour-blind readers too (Okabe and Ito)."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 40, 52  # pixels around the axes
_STYLE = "font-family:system-ui,sans-serif;font-size:12px;fill:#333"


class Chart:
    """Two axes and what is drawn over them, in the order of the calls."""

    def __init__(
        self,
        title: str,
        *,
        x_label: str,
        y_label: str,
        x_range: tuple[float, float] | None = None,
        y_range: tuple[float, float] | None = None,
        width: int = 520,
        height: int = 340,
    ) -> None:
        """
        Args:
            x_range, y_range: what the axes show; by default all that is drawn, and zero on the y axis.
            width, height: pixels.
        """
        self.title, self.x_label, self.y_label = title, x_label, y_label
        self.width, self.height = width, height
        self._x_range, self._y_range = x_range, y_range
        self._lines: list[tuple[np.ndarray, np.ndarray, str, bool, bool]] = []
        self._bands: list[tuple[np.ndarray, np.ndarray, np.ndarray, str]] = []
        self._bars: list[tuple[list[str], np.ndarray, str]] = []

    def line(self, x: Numbers, y: Numbers, label: str = "", *, dashed: bool = False, dots: bool = False) -> None:
        """Join points; those that are not finite leave a gap. `dots` marks each."""
        xs, ys = _pair(x, y)
        self._lines.append((xs, ys, label, dashed, dots))

    def band(self, x: Numbers, low: Numbers, high: Numbers, label: str = "") -> None:
        """Fill between two curves, in the colour of the line that is drawn next."""
        xs, lows = _pair(x, low)
        self._bands.append((xs, lows, _pair(x, high)[1], label))

    def bars(self, names: Sequence[str], heights: Numbers, label: str = "") -> None:
        """Columns from zero, named below; several calls stand beside each other. Lines then count columns from 0."""
        values = np.asarray(heights, np.float64)
        if len(names) != len(values):
            raise ValueError(f"Chart.bars: as many names as heights are needed, got {len(names)} and {len(values)}")
        self._bars.append((list(names), values, label))

    def svg(self) -> str:
        """The chart as a whole SVG document, which may also stand inside an HTML page."""
        x_range = self._x_range or _range(
            [*(line[0] for line in self._lines), *(band[0] for band in self._bands)], zero=False
        )
        if self._bars:
            x_range = (-0.5, len(self._bars[0][0]) - 0.5)
        heights = [y for _, y, *_ in self._lines] + [b[2] for b in self._bands] + [b[1] for b in self._bars]
        y_range = self._y_range or _range(heights, zero=True)
        if any(label for *_, label in self._bars) and self._y_range is None:  # room for their names
            y_range = (y_range[0], y_range[1] + 0.2 * (y_range[1] - y_range[0]))
        place = _Place(x_range, y_range, self.width, self.height)
        parts = [*self._frame(place), *self._draw_bars(place), *self._draw_bands(place)]
        parts += [*self._draw_lines(place), *self._legend(place)]
        body = "\n".join(parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" role="img" style="{_STYLE}">\n<title>{escape(self.title)}</title>\n'
            f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
        )

    def _frame(self, place: _Place) -> list[str]:
        parts = [_text(self.width / 2, 22, self.title, anchor="middle", extra="font-weight:600;font-size:14px")]
        for tick in ticks(*place.y_range):
            y = place.y(tick)
            parts.append(f'<path d="M{_LEFT} {y:.1f}H{self.width - _RIGHT}" stroke="#ddd"/>')
            parts.append(_text(_LEFT - 6, y + 4, f"{tick:g}", anchor="end"))
        if not self._bars:
            for tick in ticks(*place.x_range):
                x = place.x(tick)
                parts.append(f'<path d="M{x:.1f} {place.bottom}v4" stroke="#333"/>')
                parts.append(_text(x, place.bottom + 18, f"{tick:g}", anchor="middle"))
        parts.append(f'<path d="M{_LEFT} {_TOP}V{place.bottom}H{self.width - _RIGHT}" fill="none" stroke="#333"/>')
        parts.append(_text((_LEFT + self.width - _RIGHT) / 2, self.height - 8, self.x_label, anchor="middle"))
        middle = (_TOP + place.bottom) / 2
        turned = f'<g transform="rotate(-90 16 {middle:.1f})">{_text(16, middle, self.y_label, anchor="middle")}</g>'
        return [*parts, turned]

    def _draw_bars(self, place: _Place) -> list[str]:
        parts = []
        for i, (names, heights, _label) in enumerate(self._bars):
            wide = 0.8 / len(self._bars)
            for n, height in enumerate(heights):
                if not math.isfinite(height):
                    continue
                left, right = (place.x(n - 0.4 + wide * (i + side)) for side in (0, 1))
                top, base = place.y(height), place.y(max(0.0, place.y_range[0]))
                parts.append(
                    f'<rect x="{left:.1f}" y="{min(top, base):.1f}" width="{right - left:.1f}" height="{abs(base - top):.1f}" '
                    f'fill="{_colour(i)}"><title>{escape(names[n])}: {height:.4g}</title></rect>'
                )
        for n, name in enumerate(self._bars[0][0] if self._bars else []):
            x, y = place.x(n) + 4, place.bottom + 10
            parts.append(
                f'<g transform="rotate(-45 {x:.1f} {y})">{_text(x, y, name, anchor="end", extra="font-size:9px")}</g>'
            )
        return parts

    def _draw_bands(self, place: _Place) -> list[str]:
        parts = []
        for i, (xs, low, high, _label) in enumerate(self._bands):
            outline = [*zip(xs, high, strict=True), *zip(xs[::-1], low[::-1], strict=True)]
            path = "M" + "L".join(f"{place.x(x):.1f} {place.y(y):.1f}" for x, y in outline) + "Z"
            parts.append(f'<path d="{path}" fill="{_colour(i)}" fill-opacity="0.18"/>')
        return parts

    def _draw_lines(self, place: _Place) -> list[str]:
        parts = []
        for i, (xs, ys, _label, dashed, dots) in enumerate(self._lines):
            known = np.isfinite(xs) & np.isfinite(ys)
            runs = np.split(np.flatnonzero(known), np.flatnonzero(np.diff(np.flatnonzero(known)) > 1) + 1)
            for run in runs:
                path = "M" + "L".join(f"{place.x(xs[j]):.1f} {place.y(ys[j]):.1f}" for j in run)
                if len(run) > 1:
                    parts.append(
                        f'<path d="{path}" fill="none" stroke="{_colour(i)}" stroke-width="2"{_dash(dashed)}/>'
                    )
            if dots:
                parts += [
                    f'<circle cx="{place.x(xs[j]):.1f}" cy="{place.y(ys[j]):.1f}" r="3" fill="{_colour(i)}">'
                    f"<title>{xs[j]:.4g}: {ys[j]:.4g}</title></circle>"
                    for j in np.flatnonzero(known)
                ]
        return parts

    def _legend(self, place: _Place) -> list[str]:
        """Names at the upper right, or at the lower right where the lines end high."""
        entries = [
            (label, f'<path d="M0 -4h24" stroke="{_colour(i)}" stroke-width="2"{_dash(dashed)}/>')
            for i, (_, _, label, dashed, _) in enumerate(self._lines)
        ]
        for labels, opacity in (([band[3] for band in self._bands], 0.18), ([bars[2] for bars in self._bars], 1)):
            entries += [
                (label, f'<rect y="-10" width="24" height="12" fill="{_colour(i)}" fill-opacity="{opacity}"/>')
                for i, label in enumerate(labels)
            ]
        entries = [(label, sample) for label, sample in entries if label]
        x = self.width - _RIGHT - 44 - 6.6 * max((len(label) for label, _ in entries), default=0)
        y = _TOP + 14 if self._upper_right_is_free(place) else place.bottom - 8 - 18 * (len(entries) - 1)
        return [
            f'<g transform="translate({x:.1f} {y + 18 * n:.1f})">{sample}{_text(30, 0, label)}</g>'
            for n, (label, sample) in enumerate(entries)
        ]

    def _upper_right_is_free(self, place: _Place) -> bool:
        if self._bars and not self._lines:
            return True
        ends = [ys[np.isfinite(ys)][-1] for _, ys, *_ in self._lines if np.isfinite(ys).any()]
        return not ends or max(place.y(y) for y in ends) > (_TOP + place.bottom) / 2


def side_by_side(charts: Sequence[Chart]) -> str:
    """Several charts in one SVG document, from left to right."""
    width, height = sum(c.width for c in charts), max(c.height for c in charts)
    parts, x = [], 0
    for chart in charts:
        parts.append(chart.svg().replace("<svg ", f'<svg x="{x}" ', 1))
        x += chart.width
    inner = "".join(parts)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{inner}</svg>\n'


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, `about` as many as asked for."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


class _Place:
    """From values to pixels."""

    def __init__(self, x_range: tuple[float, float], y_range: tuple[float, float], width: int, height: int) -> None:
        self.x_range, self.y_range = x_range, y_range
        self.bottom = height - _BOTTOM
        self._width = width - _LEFT - _RIGHT

    def x(self, value: float) -> float:
        low, high = self.x_range
        return _LEFT + self._width * (min(max(value, low), high) - low) / (high - low)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return self.bottom - (self.bottom - _TOP) * (min(max(value, low), high) - low) / (high - low)


def _pair(x: Numbers, y: Numbers) -> tuple[np.ndarray, np.ndarray]:
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if xs.shape != ys.shape or xs.ndim != 1:
        raise ValueError(f"Chart: x and y must be of one length, got {xs.shape} and {ys.shape}")
    return xs, ys


def _range(arrays: Sequence[np.ndarray], *, zero: bool) -> tuple[float, float]:
    values = np.concatenate([*arrays, np.zeros(1 if zero else 0)]) if arrays else np.zeros(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or abs(high) or 1.0
    return (low, high + room) if zero else (low, high if high > low else low + room)


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _dash(dashed: bool) -> str:
    return ' stroke-dasharray="5 4"' if dashed else ""


def _text(x: float, y: float, text: str, *, anchor: str = "start", extra: str = "") -> str:
    style = f' style="{extra}"' if extra else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'
