"""Series that are learnt in a few seconds."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from small_runs import Run, finish

CONFIG = """\
task: series
run_dir: {run_dir}
prepare: {{files: {table}, horizon: 6, season: 12}}
model: {{hidden_size: 16, members: 2, context: 24}}
train: {{steps: 60, batch_size: 32, learning_rate: 0.01}}
"""


@dataclass(frozen=True)
class SeriesRun(Run):
    """A run of `task: series`."""

    table: Path


def hourly(rows: int = 150, seed: int = 0) -> str:
    """Two shops by the hour: seasons of 12 steps and a little noise, one ten times as large as the other."""
    generator = np.random.default_rng(seed)
    lines = ["time,shop,sales"]
    for name, size in (("north", 1.0), ("south", 10.0)):
        for step in range(rows):
            value = size * (20 + 5 * np.sin(2 * np.pi * step / 12) + generator.normal(0, 0.5))
            lines.append(f"2024-03-{1 + step // 24:02d}T{step % 24:02d}:00,{name},{value:.3f}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def series_run(tmp_path_factory: pytest.TempPathFactory) -> SeriesRun:
    """A finished run to read from."""
    folder = tmp_path_factory.mktemp("series")
    run = SeriesRun(folder / "series.yaml", folder / "run", folder / "sales.csv")
    run.table.write_text(hourly())
    run.config.write_text(CONFIG.format(run_dir=run.run_dir, table=run.table))
    finish(run)
    return run
