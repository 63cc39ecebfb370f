"""Charts as SVG: curves in a square from 0 to 1, points of numbers, bars, and forecasts."""

from collections.abc import Mapping, Sequence

import numpy as np

from llmkit.console import tables
from llmkit.plain import Json
from llmkit.report.html import escape

COLOURS = ("#2266aa", "#cc5522", "#2f7d4f", "#8844aa", "#aa8800", "#557788", "#bb3377", "#444444")
SIZE, LEFT, BOTTOM = 300, 46, 40  # pixels of the square, and of what is beside it
MOST_POINTS = 400
WIDE, HIGH = 640, 220  # pixels of a forecast
BANDS = (("0.025", "0.975", 0.15), ("0.1", "0.9", 0.25))  # of quantiles, and how dark they are


def curves(lines: Sequence[tuple[str, np.ndarray, np.ndarray]], x: str, y: str, diagonal: bool = False) -> str:
    """Named lines (x (N,), y (N,)), both from 0 to 1."""
    parts = [_frame(x, y, ("0", "1"), ("0", "1"))]
    if diagonal:
        parts.append(f'<line x1="{LEFT}" y1="{SIZE}" x2="{LEFT + SIZE}" y2="0" stroke="#bbb" stroke-dasharray="4"/>')
    for number, (name, across, up) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{LEFT + SIZE * a:.1f},{SIZE - SIZE * u:.1f}" for a, u in zip(across, up, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(lines) > 1:
            place = SIZE - 12 - 16 * (len(lines) - 1 - number)
            parts.append(
                f'<text x="{LEFT + SIZE - 6}" y="{place}" text-anchor="end" fill="{colour}">{escape(name)}</text>'
            )
    return _svg(parts, SIZE + 10 + BOTTOM)


def points(across: np.ndarray, up: np.ndarray, x: str, y: str) -> str:
    """Points (N,) on one scale of both axes, with the line on which they are the same."""
    low, high = float(min(across.min(), up.min())), float(max(across.max(), up.max()))
    span = high - low or 1.0
    ends = (tables.number(low), tables.number(high))
    parts = [_frame(x, y, ends, ends)]
    parts.append(f'<line x1="{LEFT}" y1="{SIZE}" x2="{LEFT + SIZE}" y2="0" stroke="#bbb" stroke-dasharray="4"/>')
    for a, u in zip(across[:MOST_POINTS], up[:MOST_POINTS], strict=True):
        place = f'cx="{LEFT + SIZE * (a - low) / span:.1f}" cy="{SIZE - SIZE * (u - low) / span:.1f}"'
        parts.append(f'<circle {place} r="2.5" fill="{COLOURS[0]}" fill-opacity="0.5"/>')
    return _svg(parts, SIZE + 10 + BOTTOM)


def bars(rows: Sequence[tuple[str, float]]) -> str:
    """A bar for each named figure, to the right where it is above 0 (green), to the left below (red)."""
    most = max((abs(value) for _, value in rows), default=0.0) or 1.0
    parts, middle, reach = [], 250, 70
    for number, (name, value) in enumerate(rows):
        top, length = 20 * number, reach * abs(value) / most
        start, colour = (middle, "#2f9d57") if value > 0 else (middle - length, "#d94040")
        shown = name if len(name) <= 26 else name[:25] + "…"
        parts.append(f'<text x="0" y="{top + 14}">{escape(shown)}</text>')
        parts.append(f'<rect x="{start:.1f}" y="{top + 3}" width="{length:.1f}" height="14" fill="{colour}"/>')
        parts.append(f'<text x="{middle + reach + 64}" y="{top + 14}" text-anchor="end">{value:+.3g}</text>')
    return _svg(parts, 20 * len(rows) + 4, 390)


def heat_map(patches: Sequence[Json], height: int, width: int) -> str:
    """Patches of a picture in the colour of what they add: green raises, red lowers, white is nothing."""
    most = max((abs(patch["contribution"]) for patch in patches), default=0.0) or 1.0
    parts = []
    for patch in patches:
        colour = "#22a04a" if patch["contribution"] > 0 else "#d94040"
        place = f'x="{patch["column"]}" y="{patch["row"]}" width="{patch["width"]}" height="{patch["height"]}"'
        strength = abs(patch["contribution"]) / most
        parts.append(f'<rect {place} fill="{colour}" fill-opacity="{strength:.3f}"/>')
    return _svg(parts, height, width)


def forecast(
    past: Sequence[float | None],
    quantiles: Mapping[str, Sequence[float]],
    truth: Sequence[float | None] = (),
    marked: Sequence[int] = (),
) -> str:
    """What was, then the median of what comes between its bands, and what came where that is known, some of it marked.

    The bands are those of 80 and 95 %, of whose quantiles there are.
    """
    known = [value for values in (past, truth, *quantiles.values()) for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    span, steps = high - low or 1.0, max(len(past) + len(quantiles["0.5"]) - 1, 1)

    def line(values: Sequence[float | None], first: int) -> str:
        places = ((first + k, value) for k, value in enumerate(values) if value is not None)
        return " ".join(
            f"{LEFT + 20 + WIDE * k / steps:.1f},{10 + HIGH * (high - value) / span:.1f}" for k, value in places
        )

    begin, parts = len(past), []
    for lower, upper, opacity in BANDS:
        if lower not in quantiles:
            continue
        back = line(quantiles[upper], begin).split(" ")[::-1]
        edge = f"{line(quantiles[lower], begin)} {' '.join(back)}"
        parts.append(f'<polygon points="{edge}" fill="{COLOURS[0]}" fill-opacity="{opacity}"/>')
    for values, first, colour in ((past, 0, "#444"), (truth, begin, "#444"), (quantiles["0.5"], begin, COLOURS[0])):
        points = line(values, first)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    for place in marked:
        across, _, up = line([truth[place]], begin + place).partition(",")
        parts.append(f'<circle cx="{across}" cy="{up}" r="4" fill="none" stroke="#c00" stroke-width="2"/>')
    for value, place in ((high, 16), (low, HIGH + 10)):
        parts.append(f'<text x="{LEFT + 14}" y="{place}" text-anchor="end">{tables.number(value)}</text>')
    return _svg(parts, HIGH + 20, LEFT + WIDE + 30)


def _frame(x: str, y: str, across: tuple[str, str], up: tuple[str, str]) -> str:
    return (
        f'<rect x="{LEFT}" y="0" width="{SIZE}" height="{SIZE}" fill="none" stroke="#888"/>'
        f'<text x="{LEFT}" y="{SIZE + 16}">{escape(across[0])}</text>'
        f'<text x="{LEFT + SIZE}" y="{SIZE + 16}" text-anchor="end">{escape(across[1])}</text>'
        f'<text x="{LEFT - 4}" y="{SIZE}" text-anchor="end">{escape(up[0])}</text>'
        f'<text x="{LEFT - 4}" y="12" text-anchor="end">{escape(up[1])}</text>'
        f'<text x="{LEFT + SIZE / 2}" y="{SIZE + 32}" text-anchor="middle">{escape(x)}</text>'
        f'<text transform="translate(14 {SIZE / 2}) rotate(-90)" text-anchor="middle">{escape(y)}</text>'
    )


def _svg(parts: Sequence[str], height: int, width: int = LEFT + SIZE + 10) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" font-size="12" font-family="system-ui, sans-serif">'
        + "".join(parts)
        + "</svg>"
    )
