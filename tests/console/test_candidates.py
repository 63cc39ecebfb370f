"""A budget's candidates made by hand: the file, the table that is printed and the picture say the same."""

import io

import pytest

from llmkit.console import candidates, charts


def row(name, size_bytes, ms, loss, **marks):
    return {
        "name": name,
        "size_bytes": size_bytes,
        "ms_per_token": ms,
        "val_loss": loss,
        "load_ms": 12.34,
        "times_smaller": 5_000_000 / size_bytes,
        "times_faster": 0.2 / ms,
        "val_loss_increase_percent": 100 * (loss / 2 - 1),
        **marks,
    }


ROWS = [
    row("original", 5_000_000, 0.2, 2.0, pareto=True, fits=False),
    row("8 bits", 1_250_000, 0.1, 2.01, pareto=True, fits=True, chosen=True),
    row("4 bits", 1_000_000, 0.1, 2.2, pareto=True, fits=True),
    row("without 50 % of the units", 1_250_000, 0.1, 1.98, pareto=False, fits=False),
]
MARKDOWN = """\
| candidate | MB | smaller | val_loss | change | ms per token | faster | load ms | marks |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |
| original | 5.000 | 1.00× | 2.0000 | +0.00 % | 0.2000 | 1.00× | 12.3 | pareto |
| 8 bits | 1.250 | 4.00× | 2.0100 | +0.50 % | 0.1000 | 2.00× | 12.3 | chosen, fits, pareto |
| 4 bits | 1.000 | 5.00× | 2.2000 | +10.00 % | 0.1000 | 2.00× | 12.3 | fits, pareto |
| without 50 % of the units | 1.250 | 4.00× | 1.9800 | -1.00 % | 0.1000 | 2.00× | 12.3 |  |

Measured on this machine; pareto: none is better in size, speed and loss.
"""


def test_the_file_by_hand():
    assert candidates.markdown(ROWS) == MARKDOWN


def test_the_printed_table_has_the_cells_of_the_file(capsys):
    candidates.show(ROWS[:2])
    assert capsys.readouterr().out == (
        "candidate  MB     smaller  val_loss  change   ms per token  faster  load ms  marks\n"
        "---------  -----  -------  --------  -------  ------------  ------  -------  --------------------\n"
        "original   5.000  1.00×    2.0000    +0.00 %  0.2000        1.00×   12.3     pareto\n"
        "8 bits     1.250  4.00×    2.0100    +0.50 %  0.1000        2.00×   12.3     chosen, fits, pareto\n"
    )


def test_the_picture_has_every_candidate_once_by_its_mark(monkeypatch):
    figure = pytest.importorskip("matplotlib.figure").Figure
    drawn = []
    monkeypatch.setattr(figure, "savefig", lambda self, file, dpi, format: drawn.append(self))
    assert charts.trade_offs(ROWS, io.BytesIO())
    sizes, speeds = drawn[0].axes
    points = {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in sizes.lines[:3]}
    assert points == {
        "chosen": [(1.25, 2.01)],
        "Pareto front": [(5.0, 2.0), (1.0, 2.2)],
        "others": [(1.25, 1.98)],
    }
    assert [list(line.get_xdata()) for line in speeds.lines[:3]] == [[10_000.0], [5_000.0, 10_000.0], [10_000.0]]
    assert list(sizes.lines[3].get_ydata()) == [2.0, 2.0]  # the original's loss
    assert speeds.get_xlabel() == "tokens per second, one stream"


def test_the_picture_is_a_png():
    pytest.importorskip("matplotlib")
    picture = io.BytesIO()
    assert charts.trade_offs(ROWS, picture)
    assert picture.getvalue().startswith(b"\x89PNG")
