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
