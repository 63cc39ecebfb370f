"""A table that is learnt in a fraction of a second."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from small_runs import Run, finish


@dataclass(frozen=True)
class TableRun(Run):
    """A run of `task: table`."""

    table: Path


def table_text(rows: int = 240, seed: int = 0) -> str:
    """good where income is above debt or the owner has a house; some incomes are missing."""
    generator = np.random.default_rng(seed)
    lines = ["income,debt,home,risk"]
    for _ in range(rows):
        income, debt = generator.normal(50, 20), generator.normal(50, 20)
        home = generator.choice(["own", "rent", "free"])
        risk = "good" if income > debt + (0 if home == "own" else 15) else "bad"
        lines.append(f"{'' if generator.random() < 0.1 else round(income, 1)},{debt:.1f},{home},{risk}")
    return "\n".join(lines) + "\n"


def write_config(path: Path, table: Path, run_dir: Path, more: str = "") -> None:
    path.write_text(
        f"""\
task: table
run_dir: {run_dir}
prepare: {{files: {table}, label: risk}}
model: {{hidden_size: 16, members: 4, embedding_size: 3}}
train: {{epochs: 15, batch_size: 32, learning_rate: 0.02}}
{more}"""
    )


@pytest.fixture(scope="session")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> TableRun:
    """A finished run to read from."""
    folder = tmp_path_factory.mktemp("table")
    run = TableRun(folder / "table.yaml", folder / "run", folder / "rows.csv")
    run.table.write_text(table_text())
    write_config(run.config, run.table, run.run_dir)
    finish(run)
    return run


@pytest.fixture
def table_fresh(tmp_path: Path) -> TableRun:
    """A run of which nothing has been made, with a table of its own."""
    run = TableRun(tmp_path / "table.yaml", tmp_path / "run", tmp_path / "rows.csv")
    run.table.write_text(table_text())
    write_config(run.config, run.table, run.run_dir)
    return run


def priced_text(rows: int = 300, seed: int = 0) -> str:
    """A price of 3 · size + 20 where the town is north, with noise of deviation 2; size and noise of rows lie apart."""
    generator = np.random.default_rng(seed)
    lines = ["size,town,copies,price"]
    for _ in range(rows):
        size, north = generator.uniform(10, 40), generator.random() < 0.5
        price = 3 * size + 20 * north + generator.normal(0, 2)
        lines.append(f"{size:.2f},{'north' if north else 'south'},{generator.integers(1, 4)},{price:.2f}")
    return "\n".join(lines) + "\n"


NUMBER_VARIANTS = """\
compress:
  int8:    {method: quantize}
  sparse:  {method: prune, sparsity: 0.5, steps: 20}
  student: {method: distil, model: {hidden_size: 8, members: 2, embedding_size: 2}, steps: 40}
"""


@pytest.fixture(scope="session")
def number_run(tmp_path_factory: pytest.TempPathFactory) -> TableRun:
    """A finished run that predicts numbers, with variants."""
    folder = tmp_path_factory.mktemp("numbers")
    run = TableRun(folder / "numbers.yaml", folder / "run", folder / "rows.csv")
    run.table.write_text(priced_text())
    write_config(run.config, run.table, run.run_dir, NUMBER_VARIANTS)
    text = run.config.read_text().replace("label: risk", "label: price, predict: number, ignore: [copies]")
    run.config.write_text(text)
    finish(run)
    return run
