"""What parts add to a decision, for people: words in colours on a terminal, and bars.

Green raises what is explained, red lowers it; elsewhere than on a terminal the bars alone tell it by their signs.
"""

import sys
from collections.abc import Sequence

from llmkit.console import tables, terminal

WIDTH = 24  # characters of the longest bar
MOST_BARS = 12
FAINT = 0.08  # of the largest contribution: below, a word has no colour
NAME_WIDTH = 44

Contribution = tuple[str, float]
"""(what the part is called, what it adds)."""


def marked(pieces: Sequence[tuple[str, float | None]]) -> None:
    """A text in pieces, those with a contribution in the colour of it; nothing where there are no colours."""
    if not sys.stdout.isatty():
        return
    from rich.console import Console
    from rich.text import Text

    most = max((abs(added) for _, added in pieces if added is not None), default=0.0)
    text = Text()
    for piece, added in pieces:
        text.append(terminal.clean(piece), style=_style(added or 0.0, most))
    Console().print(text, highlight=False)


def bars(contributions: Sequence[Contribution], most: int = MOST_BARS) -> None:
    """A line for each part, the largest first, and how many more there are."""
    order = sorted(contributions, key=lambda part: -abs(part[1]))
    largest = abs(order[0][1]) if order else 0.0
    shown = [(_fitted(name), added) for name, added in order[:most]]
    width = max((len(name) for name, _ in shown), default=0)
    for name, added in shown:
        bar = "█" * round(WIDTH * abs(added) / largest) if largest else ""
        _line(f"  {name.ljust(width)}  {added:+11.4g}  ", bar, added, largest)
    if len(order) > len(shown):
        rest = sum(added for _, added in order[most:])
        terminal.show(f"  {f'and {len(order) - most:,} more'.ljust(width)}  {rest:+11.4g}")


def _line(before: str, bar: str, added: float, largest: float) -> None:
    if not sys.stdout.isatty():
        return terminal.show((before + bar).rstrip())
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(before).append(bar, style="green" if added > 0 else "red"), highlight=False)


def _fitted(name: str) -> str:
    name = terminal.line(" ".join(name.split()))
    return name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…"


def _style(added: float, most: float) -> str:
    """A background of three strengths."""
    share = abs(added) / most if most else 0.0
    if share < FAINT:
        return ""
    strength = 0 if share < 0.3 else 1 if share < 0.65 else 2
    shades = ("#d9f2d9", "#8fd98f", "#2fa84f") if added > 0 else ("#fbdcdc", "#f29b9b", "#d94040")
    return f"black on {shades[strength]}"


def number(value: float) -> str:
    """A value that is explained."""
    return tables.number(float(value))
