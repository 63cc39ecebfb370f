"""Labelled texts that are learnt in a fraction of a second."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from small_runs import Run, finish

GOOD, BAD = ["wonderful", "bright", "touching", "clever"], ["dull", "tedious", "clumsy", "bland"]
OTHERS = ["film", "plot", "actor", "scene", "it", "is", "a", "the", "with", "and"]


@dataclass(frozen=True)
class TextRun(Run):
    """A run of `task: classify`."""

    table: Path


def write_texts(path: Path, count: int = 160) -> None:
    """Sentences of 3 to 12 words of which one or two tell the label."""
    generator = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for number in range(count):
            words = generator.choice(OTHERS, generator.integers(2, 11)).tolist()
            words.insert(int(generator.integers(len(words))), str(generator.choice(GOOD if number % 2 else BAD)))
            rows.writerow([" ".join(words).capitalize() + ".", "positive" if number % 2 else "negative"])


def write_config(path: Path, table: Path, run_dir: Path) -> None:
    path.write_text(
        f"""\
task: classify
run_dir: {run_dir}
prepare: {{files: {table}, ngrams: {{words: 2, characters: 3}}, split: {{val: 0.1, test: 0.2}}}}
model: {{embedding_size: 8, hidden_size: 6, ngram_share: 0.6}}
train: {{epochs: 6, batch_size: 16, learning_rate: 0.02}}
"""
    )


@pytest.fixture(scope="session")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> TextRun:
    """A finished run to read from."""
    folder = tmp_path_factory.mktemp("texts")
    run = TextRun(folder / "texts.yaml", folder / "run", folder / "texts.csv")
    write_texts(run.table)
    write_config(run.config, run.table, run.run_dir)
    finish(run)
    return run


@pytest.fixture
def text_fresh(tmp_path: Path) -> TextRun:
    """A run of which nothing has been made, with texts of its own."""
    run = TextRun(tmp_path / "texts.yaml", tmp_path / "run", tmp_path / "texts.csv")
    write_texts(run.table)
    write_config(run.config, run.table, run.run_dir)
    return run
