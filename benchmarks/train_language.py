"""What a character model reaches in 20, 180 and 600 seconds, and how much of the processor it uses.

    python benchmarks/train_language.py --text FILE [--only 180] [--again] [--json]

The first 90 % of the text is trained on, the last 10 % is scored. Rows: for each number of seconds one `llmkit train`
with the default settings (a schedule of its own, `max_minutes`, `ngram: true`), and short trainings at larger hidden
sizes for their speed alone, with the default batch and with one of 64. Columns: seconds (validation included),
tokens/s, GFLOP/s of the network's matrix products as a share of the largest product's in the same run and number type,
the same share with the optimizer's products counted too, and nats per character

    carried   the LSTM alone, one state carried through the whole text
    cold      the LSTM alone, windows of 256 characters that each begin with a zero state
    mixed     with the n-gram model; the exponents fitted on one half of the text score the other half
    dynamic   the LSTM, its weights learning from the text as it is scored; and so with the n-gram model mixed in

Finished rows are taken from runs/benchmarks/train_language/results.json; --again does them anew. Nothing else should
run on the machine.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import rows
import torch
from torch.nn import functional as F

import llmkit.training  # noqa: F401  (says how OpenMP's threads wait, before torch starts them)
from llmkit.console.messages import Console
from llmkit.fitting import setup as setups
from llmkit.fitting.setup import Setup
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store import artifacts
from llmkit.tasks import experiment as experiments
from llmkit.tasks.language import dynamic, mixing, optimizers
from llmkit.tasks.language.batches import Window
from llmkit.tasks.language.network import LanguageModel
from llmkit.tasks.language.train import scored_windows
from llmkit.training import devices
from llmkit.training.muon import Muon

FOLDER = Path("runs/benchmarks/train_language")
SECONDS = (20, 180, 600)
HIDDEN, SPEED_SECONDS = (512, 640, 768), 20.0
LARGE_BATCH = 64  # streams: keeps the processor busier than the default, which learns more in the same time
COLD_WINDOW, PEAK_SIZE = 256, 2048
CPU = torch.device("cpu")
FIGURES = ("carried", "cold", "mixed", "dynamic", "dynamic mixed")


def config_of(name: str, text: Path, train_settings: dict[str, Any], model: dict[str, Any]) -> experiments.Experiment:
    """The default settings but for the budget; all rows share one prepared folder per run directory."""
    path = FOLDER / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "task": "language",
        "run_dir": str(FOLDER / name),
        "prepare": {"files": str(text), "split": {"val": 0.1, "test": 0.0}},
        "model": model,
        "train": train_settings,
    }
    path.write_text(json.dumps(data), encoding="utf-8")  # JSON is YAML
    return experiments.load(path)


def peak_gflops(number_type: torch.dtype, seconds: float = 1.0) -> float:
    """GFLOP/s of the best of many products of two large square matrices."""
    a = torch.randn(PEAK_SIZE, PEAK_SIZE).to(number_type)
    best, start = 0.0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        before = time.perf_counter()
        a @ a
        best = max(best, 2 * PEAK_SIZE**3 / (time.perf_counter() - before))
    return best / 1e9


def trained(seconds: int, text: Path) -> dict[str, Any]:
    """One training and its figures."""
    config = config_of(str(seconds), text, {"max_minutes": seconds / 60, "ngram": True}, {})
    ui = Console()
    prepare(config, ui=ui)
    number_type = devices.number_type("auto", CPU)
    peak = peak_gflops(number_type)
    result = train(config, force=True, fresh=True, ui=ui)
    peak = max(peak, peak_gflops(number_type))
    folder = experiments.read_model(config.run_dir / "model")
    tokens = np.load(config.run_dir / "prepared" / "val.npy").astype(np.int64)
    vocab_size = len(folder.weights()["embedding"])
    network = dynamic.load(folder, vocab_size)
    validations = len((folder.path / "metrics.jsonl").read_text().splitlines())
    flops = network.flops_per_token * (3 * result["tokens"] + validations * len(tokens))
    [muon] = [o for o in optimizers.of(network, config.settings.train, torch.float32) if isinstance(o, Muon)]
    mixture = mixing.load(folder)
    assert mixture is not None
    figures: dict[str, Any] = {
        "seconds": result["seconds"],
        "tokens_per_second": result["tokens_per_second"],
        "hidden_size": network.hidden_size,
        "number_type": result["number_type"],
        "gflops": flops / result["seconds"] / 1e9,
        "optimizer_gflops": muon.flops_per_step * result["steps"] / result["seconds"] / 1e9,
        "peak_gflops": peak,
        "carried": result["lstm_val_loss"],
        "cold": cold_loss(network, tokens),
        "mixed": cross_fitted(mixture, network, tokens),
        "ngram": result["ngram_loss"],
        "ngram_order": result["ngram_order"],
    }
    for name, mix in (("dynamic", None), ("dynamic mixed", mixture)):
        network = dynamic.load(folder, vocab_size)
        figures[name] = dynamic.loss(
            network, tokens, mix, lambda done, total, name=name: ui.progress(f"{name} scoring", done, total)
        )
    return figures


def speed(hidden: int, text: Path, train_settings: dict[str, Any]) -> dict[str, Any]:
    """Tokens and GFLOP/s of steps of training at a hidden size, for some seconds; peak measured before and after."""
    config = config_of(f"hidden-{hidden}", text, {"steps": 1, **train_settings}, {"hidden_size": hidden})
    prepare(config, ui=Console())
    prepared = artifacts.read(config.run_dir / "prepared")
    learner = setups.learner(Setup(config.settings, prepared, "cpu", Console()))
    number_type = learner.hardware.number_type
    peak = peak_gflops(number_type)
    with devices.flushed_denormals():
        for _ in range(5):
            learner.step(1e-3, 0.0)
        start, count, steps = time.perf_counter(), learner.count, 0
        while time.perf_counter() - start < SPEED_SECONDS:
            learner.step(1e-3, 0.0)
            steps += 1
        seconds = time.perf_counter() - start
    rate = (learner.count - count) / seconds
    [muon] = [optimizer for optimizer in learner.optimizers if isinstance(optimizer, Muon)]
    return {
        "seconds": seconds,
        "tokens_per_second": rate,
        "hidden_size": hidden,
        "number_type": str(number_type).removeprefix("torch."),
        "gflops": 3 * learner.network.flops_per_token * rate / 1e9,
        "optimizer_gflops": muon.flops_per_step * steps / seconds / 1e9,
        "peak_gflops": max(peak, peak_gflops(number_type)),
    }


@torch.no_grad()
def cold_loss(network: LanguageModel, tokens: np.ndarray) -> float:
    """Nats per character over windows that each begin with a zero state; what does not fill the last one is left."""
    network.eval()
    count = (len(tokens) - 1) // COLD_WINDOW
    inputs = torch.from_numpy(tokens[: count * COLD_WINDOW].reshape(count, COLD_WINDOW).T.copy())  # (T, B)
    targets = torch.from_numpy(tokens[1 : count * COLD_WINDOW + 1].reshape(count, COLD_WINDOW).T.copy())
    logits, _ = network(inputs, network.initial_state(count))
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten()).item()


@torch.no_grad()
def cross_fitted(mixture: mixing.Mixture, network: LanguageModel, tokens: np.ndarray) -> float:
    """Nats per character of the mixture, each half of the text scored with exponents fitted on the other half."""
    network.eval()
    windows = [(window, logits.numpy()) for window, logits in scored_windows(network, tokens, devices.Hardware(CPU))]
    streams = windows[0][0].inputs.shape[1]  # contiguous parts of the text, in order
    halves = [_streams(windows, slice(0, streams // 2)), _streams(windows, slice(streams // 2, streams))]
    total = count = 0.0
    for fitted_on, scored in (halves, halves[::-1]):
        fitted = mixing.fit_windows(mixture.model, fitted_on, sum(logits.size for _, logits in fitted_on))
        here = sum(int(window.counted.sum()) for window, _ in scored)
        total, count = total + mixing.loss(fitted, scored) * here, count + here
    return total / count


def _streams(windows: list[tuple[Window, np.ndarray]], part: slice) -> list[tuple[Window, np.ndarray]]:
    return [
        (Window(window.inputs[:, part], window.targets[:, part], window.counted[:, part]), logits[:, part])
        for window, logits in windows
    ]


def show(rows: dict[str, dict[str, Any]]) -> None:
    """Print the table."""
    heads = "".join(f"{name:>15}" for name in FIGURES)
    print(f"{'row':20}{'seconds':>9}{'tokens/s':>10}{'GFLOP/s':>9}{'of peak':>9}{'+ optimizer':>12}{heads}")
    for name, row in rows.items():
        share = f"{100 * row['gflops'] / row['peak_gflops']:.0f} %"
        both = f"{100 * (row['gflops'] + row['optimizer_gflops']) / row['peak_gflops']:.0f} %"
        losses = "".join(f"{row[figure]:15.4f}" if figure in row else f"{'':15}" for figure in FIGURES)
        rate = f"{row['tokens_per_second']:10,.0f}{row['gflops']:9.0f}{share:>9}{both:>12}"
        print(f"{name:20}{row['seconds']:9.1f}{rate}{losses}")
    for row in rows.values():
        if "ngram" in row:
            print(f"the n-gram model alone (order {row['ngram_order']}): {row['ngram']:.4f}")
            break


def main() -> None:
    """Measure what is not measured yet, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument(
        "--only",
        help=f"one row: {', '.join(map(str, SECONDS))} (seconds), hidden-{HIDDEN[0]}, …",
    )
    parser.add_argument("--again", action="store_true", help="measure finished rows again")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    measures: dict[str, Any] = {str(seconds): lambda s=seconds: trained(s, arguments.text) for seconds in SECONDS}
    for name, settings in (("", {}), (f"-batch-{LARGE_BATCH}", {"batch_size": LARGE_BATCH})):
        measures |= {f"hidden-{h}{name}": lambda h=h, s=settings: speed(h, arguments.text, s) for h in HIDDEN}
    shown = rows.asked(rows.measured(parser, arguments, measures, FOLDER), arguments.only)
    if arguments.json:
        print(json.dumps(shown))
    else:
        show(shown)


if __name__ == "__main__":
    main()
