"""On a GPU, where there is one: the same bytes for the same config, also after a training was killed."""

import json
import subprocess
import sys
import time
from pathlib import Path

import gpus
import numpy as np
import pytest
from conftest import tiny_text

pytestmark = pytest.mark.skipif(gpus.count() < 1, reason="needs a GPU")

TRAIN = "validation_steps: 20, checkpoint_steps: 10"
CONFIGS = {
    "language": f"""\
prepare: {{files: FOLDER/text.txt}}
model: {{hidden_size: 32, layers: 2, dropout: 0.2, input_dropout: 0.1, recurrent_dropout: 0.1}}
train: {{steps: 60, batch_size: 8, sequence_length: 16, {TRAIN}}}
""",
    "classify": f"""\
prepare: {{files: FOLDER/texts.csv, ngrams: {{words: 1, characters: 0}}}}
model: {{embedding_size: 8, hidden_size: 8, ngram_share: 0.5}}
train: {{epochs: 12, batch_size: 16, {TRAIN}}}
""",
    "table": f"""\
prepare: {{files: FOLDER/rows.csv, label: label}}
train: {{epochs: 12, batch_size: 16, {TRAIN}}}
""",
    "image": f"""\
prepare: {{files: FOLDER/pictures.npy}}
train: {{steps: 60, batch_size: 8, {TRAIN}}}
""",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    (folder / "text.txt").write_text(tiny_text(20_000))
    labels = generator.integers(2, size=200)
    lines = [f"{['dull', 'bright'][label]} film {k % 7},{label}" for k, label in enumerate(labels)]
    (folder / "texts.csv").write_text("\n".join(["text,label", *lines]))
    rows = [
        f"{x:.3f},{'ab'[k % 2]},{label}" for k, (x, label) in enumerate(zip(generator.random(200), labels, strict=True))
    ]
    (folder / "rows.csv").write_text("\n".join(["number,letter,label", *rows]))
    np.save(folder / "pictures.npy", generator.integers(0, 256, (64, 16, 16), dtype=np.uint8))
    return folder


def llmkit(*words: str | Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "llmkit", *map(str, words), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=gpus.environment())


def result(process: subprocess.Popen) -> dict:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.mark.parametrize("task", CONFIGS)
def test_two_trainings_and_a_killed_one_end_with_the_same_bytes(task, data, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(f"task: {task}\nseed: 1\n" + CONFIGS[task].replace("FOLDER", str(data)))
    weights = []
    for name in ("one", "other", "killed"):
        run = tmp_path / name
        result(llmkit("prepare", config, f"run_dir={run}"))
        command = ("train", config, f"run_dir={run}", "--device", "cuda")
        if name == "killed":
            process = llmkit(*command)
            while process.poll() is None and not list((run / "work" / "train").glob("checkpoint-*")):
                time.sleep(0.01)
            process.kill()
            process.communicate()
        assert result(llmkit(*command))["device"] == "cuda"
        weights.append((run / "model" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] == weights[2]
