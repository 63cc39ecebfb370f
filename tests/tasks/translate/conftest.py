"""A translation that is learnt in seconds: letters to their names, one after the other."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from small_runs import Run, finish

NAMES = {"a": "ay", "b": "bee", "c": "see", "d": "dee", "x": "ex"}


@dataclass(frozen=True)
class TranslateRun(Run):
    """A run of `task: translate`."""

    pairs: Path


def spelt(word: str) -> str:
    return " ".join(NAMES[letter] for letter in word)


def pairs_text(rows: int = 120, seed: int = 0) -> str:
    """Different words of one to three letters, and how they are spelt."""
    generator = np.random.default_rng(seed)
    words: dict[str, str] = {}
    while len(words) < rows:
        word = "".join(generator.choice(list(NAMES), generator.integers(1, 4)))
        words[word] = spelt(word)
    return "\n".join(["word,spelling", *(f"{word},{spelling}" for word, spelling in words.items())]) + "\n"


VARIANTS = """\
compress:
  int8:    {method: quantize}
  sparse:  {method: prune, sparsity: 0.5, steps: 6}
  student: {method: distil, steps: 6}
  chained: {method: chain, steps: [{method: distil, steps: 3, mix: 0.0}, {method: quantize}]}
"""


def write_config(path: Path, pairs: Path, run_dir: Path, steps: int = 240, more: str = "") -> None:
    path.write_text(
        f"""\
task: translate
run_dir: {run_dir}
prepare:
  files: {pairs}
  source: word
  target: spelling
  tokenizer: {{kind: char}}
  target_tokenizer: {{kind: symbols}}
  split: {{val: 0.1, test: 0.1}}
model: {{hidden_size: 32, heads: 2, encoder_layers: 1, decoder_layers: 1, dropout: 0.0}}
train: {{steps: {steps}, batch_size: 300, learning_rate: 0.01, validation_steps: 60, label_smoothing: 0.0, average: 0.9,
  number_type: float32}}
{more}"""
    )


@pytest.fixture(scope="session")
def translate_run(tmp_path_factory: pytest.TempPathFactory) -> TranslateRun:
    """A finished run to read from, with variants."""
    folder = tmp_path_factory.mktemp("translate")
    run = TranslateRun(folder / "spelling.yaml", folder / "run", folder / "words.csv")
    run.pairs.write_text(pairs_text())
    write_config(run.config, run.pairs, run.run_dir, more=VARIANTS)
    finish(run)
    return run


@pytest.fixture
def translate_fresh(tmp_path: Path) -> TranslateRun:
    """A run of which nothing has been made, with pairs of its own."""
    run = TranslateRun(tmp_path / "spelling.yaml", tmp_path / "run", tmp_path / "words.csv")
    run.pairs.write_text(pairs_text(40))
    write_config(run.config, run.pairs, run.run_dir, steps=4)
    return run
