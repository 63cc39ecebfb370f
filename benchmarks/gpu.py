"""What a GPU gives: steps beside bare cuDNN, seconds to a loss, and a GPT trained for as many seconds.

    python data/fetch.py shakespeare union
    pip install -c constraints.txt ".[train,bench]"
    python benchmarks/gpu.py --text FILE [--only PART …] [--seconds 60] [--json]

FILE is the text of which nanoGPT's 1.4697 nats are known (tinyshakespeare): the first 90 % are trained on, the last
10 % validate. The parts, in eight minutes at most:

    steps   tokens a second of a training step at five shapes, the loss read late, as `llmkit train` does it; beside
            `torch.nn.LSTM` forward and backward of that shape in the same number type and nothing else; peak memory
    train   `llmkit train` as a whole at the third shape, beside its own steps
    loss    seconds of training with the default settings to 1.4697 nats, and the least loss
    exact   seconds of a short training with and without `train.deterministic`, and whether two end with the same bytes
    gpt     bits per byte on `union` and `shakespeare` (BPE of 8,000) after --seconds, beside those of a GPT of 6
            layers, 384 wide (`against_gpt.py`), for the same seconds

`--device cpu --quick` runs all of it in a minute on a CPU, with small shapes: to try the script.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import against_gpt
import numpy as np
import torch

import llmkit.training  # noqa: F401  (says how OpenMP's threads wait, before torch starts them)
from llmkit.console.messages import Console, Silent
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store.files import Files
from llmkit.tasks import experiment as experiments
from llmkit.tasks.language.settings import Model, Train
from llmkit.tasks.language.train import LanguageLearner, build
from llmkit.training import devices, loop, processors
from llmkit.training.metrics_file import NAME as METRICS

FOLDER = Path("runs/benchmarks/gpu")
WANTED = 1.4697  # nats: nanoGPT's README, its GPU recipe
GPT = against_gpt.Sizes(layers=6, width=384, head=64, context=256, batch=64, learning_rate=1e-3)
WARM_UP, MEASURED = 5, 3.0  # steps; seconds
PARTS = ("steps", "train", "loss", "exact", "gpt")
FIGURES = ("parameters", "seconds", "tokens_per_second", "tokens", "val_bits_per_byte", "test_bits_per_byte")
Row = dict[str, Any]


class Shape(NamedTuple):
    """Of a training step: units, layers, streams, tokens in a window, tokens in the vocabulary."""

    hidden: int
    layers: int
    streams: int
    length: int
    vocabulary: int

    def __str__(self) -> str:
        return f"{self.hidden}, {self.layers}, {self.streams} × {self.length}, {self.vocabulary:,}"


SHAPES = (
    Shape(448, 1, 32, 64, 67),
    Shape(448, 1, 256, 64, 67),
    Shape(1024, 2, 512, 128, 67),
    Shape(448, 1, 32, 64, 8000),
    Shape(1024, 2, 256, 128, 8000),
)
QUICK = (Shape(32, 1, 4, 8, 67), Shape(32, 2, 8, 16, 67), Shape(32, 2, 8, 16, 67), Shape(32, 1, 4, 8, 2000))


def per_second(step: Callable[[], int], device: torch.device, seconds: float) -> float:
    """Tokens a second of a step, which returns how many it read; nothing else is read of its results until the end."""
    for _ in range(WARM_UP):
        step()
    wait(device)
    start, tokens, count = time.perf_counter(), 0, 0
    while time.perf_counter() - start < seconds:
        tokens += step()
        count += 1
        if count % loop.AHEAD == 0:
            wait(device)  # no more steps are under way than the training loop lets be
    wait(device)
    return tokens / (time.perf_counter() - start)


def wait(device: torch.device) -> None:
    """Until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def learner_of(shape: Shape, hardware: devices.Hardware, folder: Path) -> LanguageLearner:
    """On random tokens."""
    tokens = np.random.default_rng(0).integers(1, shape.vocabulary, 4 * shape.streams * shape.length + 1)
    for name in ("train", "val"):
        np.save(folder / f"{name}.npy", tokens.astype(np.uint16))
    (folder / "meta.json").write_text(json.dumps({"boundary_id": 0}))
    settings = Train(steps=1000, batch_size=shape.streams, sequence_length=shape.length)
    network = build(Model(hidden_size=shape.hidden, layers=shape.layers), shape.vocabulary)
    return LanguageLearner(network, Files(folder), settings, 1, hardware, 1.0)


def stepping(learner: LanguageLearner) -> Callable[[], int]:
    """A step that returns how many tokens it read."""

    def step() -> int:
        before = learner.count
        learner.step(1e-3, 0.1)
        return learner.count - before

    return step


def bare(shape: Shape, hardware: devices.Hardware) -> Callable[[], int]:
    """Forward and backward of `torch.nn.LSTM` alone."""
    kind: dict[str, Any] = {"device": hardware.device, "dtype": hardware.number_type}
    lstm = torch.nn.LSTM(shape.hidden, shape.hidden, shape.layers, **kind)
    x = torch.randn(shape.length, shape.streams, shape.hidden, **kind)

    def step() -> int:
        lstm.zero_grad(set_to_none=True)
        lstm(x)[0].sum().backward()
        return shape.streams * shape.length

    return step


def steps(hardware: devices.Hardware, quick: bool) -> list[Row]:
    """A row for each shape."""
    rows, seconds = [], (0.2 if quick else MEASURED)
    for shape in QUICK if quick else SHAPES:
        if hardware.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(hardware.device)
        with tempfile.TemporaryDirectory() as folder, devices.exact(hardware.device):
            ours = per_second(stepping(learner_of(shape, hardware, Path(folder))), hardware.device, seconds)
        memory = devices.peak_memory_bytes(hardware.device)
        theirs = per_second(bare(shape, hardware), hardware.device, seconds)
        row = {"shape": str(shape), "tokens_per_second": ours, "bare_tokens_per_second": theirs}
        rows.append(row | {"share": ours / theirs, "peak_memory_bytes": memory})
    return rows


def config_of(name: str, data: dict[str, Any]) -> experiments.Experiment:
    """A config of `task: language` with what `data` says, prepared."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.yaml"
    path.write_text(json.dumps({"task": "language", "run_dir": str(FOLDER / name)} | data), encoding="utf-8")
    config = experiments.load(path)
    prepare(config)
    return config


def characters(text: Path) -> dict[str, Any]:
    """The section `prepare` of FILE."""
    return {"files": str(text), "clean": "none", "split": {"val": 0.1, "test": 0.0}}


def whole(text: Path, hardware: devices.Hardware, quick: bool) -> Row:
    """`llmkit train` at the third shape, validation and checkpoints included, beside its own steps."""
    shape = (QUICK if quick else SHAPES)[2]
    sizes = {"hidden_size": shape.hidden, "layers": shape.layers}
    how = {"max_minutes": 0.05 if quick else 0.5, "batch_size": shape.streams, "sequence_length": shape.length}
    config = config_of("train", {"prepare": characters(text), "model": sizes, "train": how})
    found = train(config, force=True, fresh=True, device=hardware.device.type, ui=Silent())
    with tempfile.TemporaryDirectory() as folder, devices.exact(hardware.device):
        alone = per_second(
            stepping(learner_of(shape, hardware, Path(folder))), hardware.device, 0.2 if quick else MEASURED
        )
    rate = found["tokens_per_second"]
    return {"shape": str(shape), "tokens_per_second": rate, "steps_alone": alone, "share": rate / alone}


def loss(text: Path, hardware: devices.Hardware, seconds: float) -> Row:
    """Seconds to WANTED with the default settings."""
    config = config_of("loss", {"prepare": characters(text), "train": {"max_minutes": seconds / 60}})
    found = train(config, force=True, fresh=True, device=hardware.device.type, ui=Silent())
    live = config.run_dir / "work" / "train" / METRICS  # the one with the clock
    curve = [json.loads(line) for line in live.read_text().splitlines()]
    reached = [record["seconds"] for record in curve if record["val_loss"] <= WANTED]
    return {"seconds": found["seconds"], "val_loss": found["val_loss"], "seconds_to_1.4697": min(reached, default=None)}


def exact(text: Path, hardware: devices.Hardware, quick: bool) -> Row:
    """Two exact trainings and two that are free: seconds, and whether the bytes are the same."""
    row: Row = {}
    for name, wanted in (("exact", True), ("free", False)):
        taken, weights = [], []
        for _ in range(2):
            how = {"steps": 20 if quick else 400, "deterministic": wanted}
            config = config_of("exact", {"prepare": characters(text), "train": how})
            taken.append(train(config, force=True, fresh=True, device=hardware.device.type, ui=Silent())["seconds"])
            weights.append((config.run_dir / "model" / "model.safetensors").read_bytes())
        row |= {f"{name}_seconds": min(taken), f"{name}_same_bytes": weights[0] == weights[1]}
    return row


def beside_gpt(hardware: devices.Hardware, seconds: float) -> list[Row]:
    """Bits per byte of the test split, llmkit's defaults and the GPT, after as many seconds."""
    rows, ui = [], Console()
    FOLDER.mkdir(parents=True, exist_ok=True)
    sizes = GPT if hardware.device.type == "cuda" else against_gpt.Sizes()
    for corpus in against_gpt.CORPORA:
        config = against_gpt.config_of(corpus, FOLDER, seconds, {})
        prepare(config, ui=ui)
        found = {
            "llmkit": against_gpt.ours(config, ui, hardware.device.type),
            "GPT": against_gpt.gpt(config, sizes, ui, device=hardware.device),
        }
        for model, figures in found.items():
            rows.append({"corpus": corpus, "model": model} | {key: figures[key] for key in FIGURES})
    return rows


def main() -> None:
    """Measure the parts and print their tables, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True, help="tinyshakespeare")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts; all by default")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a training in loss and gpt (60)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="small shapes, a few seconds: to try the script")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    device = devices.choose(given.device)
    hardware = devices.Hardware(device, devices.number_type("auto", device))
    seconds = 3.0 if given.quick else given.seconds
    parts: dict[str, Callable[[], Row | list[Row]]] = {
        "steps": lambda: steps(hardware, given.quick),
        "train": lambda: whole(given.text, hardware, given.quick),
        "loss": lambda: loss(given.text, hardware, seconds),
        "exact": lambda: exact(given.text, hardware, given.quick),
        "gpt": lambda: beside_gpt(hardware, seconds),
    }
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processors.this().name
    results: dict[str, Any] = {"device": name, "torch": torch.__version__}
    if not given.json:
        print(f"{name}, torch {torch.__version__}, {str(hardware.number_type).removeprefix('torch.')}")
    for part in given.only:
        found = parts[part]()
        results[part] = found
        if not given.json:
            print(f"\n{part}")
            for row in found if isinstance(found, list) else [found]:
                print("   ".join(f"{key} {shown(value)}" for key, value in row.items()), flush=True)
    if given.json:
        print(json.dumps(results))


def shown(value: Any) -> str:
    """A figure of a table."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


if __name__ == "__main__":
    main()
