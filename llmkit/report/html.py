"""HTML of a report: everything that comes from data is escaped, nothing is fetched from elsewhere, no script runs."""

import base64
import html
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from llmkit.console import terminal

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1c1c; background: #fff; margin: 0 auto; max-width: 60rem;
  padding: 1rem; }
h1 { font-size: 1.6rem; margin: 0.5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; }
p, figcaption { max-width: 45rem; } figcaption, .note { color: #555; font-size: 0.9rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; margin: 0.5rem 0; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top;
  max-width: 14rem; overflow-wrap: break-word; }
td.figure { text-align: right; font-variant-numeric: tabular-nums; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; flex: 1 1 18rem; max-width: 28rem; }
svg { width: 100%; height: auto; } img { width: 100%; image-rendering: pixelated; } .text { overflow-wrap: anywhere; }
.mistake { border-left: 4px solid #bbb; padding: 0.1rem 0.8rem; margin: 1rem 0; break-inside: avoid; }
.text span { border-radius: 3px; padding: 0 1px; }
@media print { body { max-width: none; padding: 0; } h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
"""


class Section(NamedTuple):
    """A part of a report: its heading and its HTML."""

    heading: str
    body: str


def escape(text: object) -> str:
    """Text as it is to be read: of HTML harmless, without control characters."""
    return html.escape(terminal.clean(str(text)))


def paragraph(text: object, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], figures: int = 1) -> str:
    """A table of plain text; the columns from number `figures` on are aligned to the right."""
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    for row in rows:
        cells = [
            f'<td class="figure">{escape(c)}</td>' if k >= figures else f"<td>{escape(c)}</td>"
            for k, c in enumerate(row)
        ]
        lines.append("".join(cells))
    return '<div class="wide"><table>' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"


def confusion(counts: dict[str, dict[str, int]]) -> str:
    """A row for each true label, a column for each predicted one; the darker, the larger a share of its row."""
    labels = list(counts)
    lines = [
        "<th>true ↓ predicted →</th>" + "".join(f"<th>{escape(label)}</th>" for label in labels) + "<th>right</th>"
    ]
    for true, row in counts.items():
        total = max(sum(row.values()), 1)
        cells = [f"<th>{escape(true)}</th>"]
        for label in labels:
            share = row.get(label, 0) / total
            shade = share if label == true else share**0.5  # a mistake in ten is seen at a glance
            colour = "47, 125, 79" if label == true else "200, 50, 50"
            style = f'style="background: rgba({colour}, {0.75 * shade:.3f})"'
            cells.append(f'<td class="figure" {style}>{row.get(label, 0):,}</td>')
        cells.append(f'<td class="figure">{100 * row.get(true, 0) / total:.1f} %</td>')
        lines.append("".join(cells))
    return '<div class="wide"><table>' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"


def marked(pieces: Iterable[tuple[str, float | None]]) -> str:
    """A text in pieces, each with what it adds as its colour: green raises, red lowers."""
    found = list(pieces)
    most = max((abs(added) for _, added in found if added), default=0.0)
    out = []
    for piece, added in found:
        if not added or not most:
            out.append(escape(piece))
            continue
        colour = "34, 160, 74" if added > 0 else "217, 64, 64"
        style = f"background: rgba({colour}, {0.7 * abs(added) / most:.3f})"
        out.append(f'<span style="{style}" title="{added:+.4f}">{escape(piece)}</span>')
    return f'<p class="text">{"".join(out)}</p>'


def picture(png: bytes, about: str, most: str = "") -> str:
    """A picture of a PNG file, which the page holds itself; `most`: its largest width."""
    data = base64.b64encode(png).decode()
    style = f' style="max-width: {escape(most)}"' if most else ""
    return f'<figure{style}><img alt="{escape(about)}" src="data:image/png;base64,{data}"></figure>'


def page(title: str, sections: Iterable[Section]) -> str:
    """The whole file."""
    parts = [f"<section><h2>{escape(section.heading)}</h2>{section.body}</section>" for section in sections]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{STYLE}</style></head>\n'
        f"<body><h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )
