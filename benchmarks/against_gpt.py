"""Default settings on other texts, against a small GPT given the same time, data and processor.

    python data/fetch.py union shakespeare
    pip install -c constraints.txt ".[train,bench]"
    python benchmarks/against_gpt.py [--only "union, GPT"] [--again] [--json]

Two corpora, BPE with the default vocabulary. Rows for each: `llmkit train` with its default settings, so again with
`ngram: true`, and a GPT of Hugging Face `transformers` (Llama's layers: rotary positions, SwiGLU, RMSNorm) trained
from random weights on the same train.npy. Both go through llmkit's training loop: one clock, warm-up and half a
cosine over the same 180 seconds, bfloat16 where the processor computes in it, the weights kept that validate best.
The seconds include the validations along the way in both, and in both leave out what comes after the last step: the
figures below, and the n-gram model. benchmarks/against_gpt.md says how the GPT was chosen.

Columns: parameters, seconds of training, tokens/s, tokens seen, and bits per byte of the validation and test splits:
llmkit's as `llmkit evaluate` gives them, one state carried through the split; the GPT's over windows that overlap by
half. In both every token but the first counts once, in float32, and the bytes are those of meta.json. With n-grams
the validation figure flatters, for the mixture was fitted on that split; the test figure does not.

Finished rows are taken from runs/benchmarks/against_gpt/results.json; --again does them anew. Nothing else should run
on the machine.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import llmkit.training  # noqa: F401  (says how OpenMP's threads wait, before torch starts them)
from llmkit.config.training import Training
from llmkit.console.messages import Console
from llmkit.data.prepared_folder import read_meta
from llmkit.stages.evaluate import evaluate
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store import artifacts
from llmkit.store.files import Files
from llmkit.tasks import experiment as experiments
from llmkit.training import checkpoint, devices, loop

os.environ["HF_HUB_OFFLINE"] = "1"  # the model is built from sizes: nothing is to be looked up

SECONDS = 180
CORPORA: dict[str, dict[str, Any]] = {
    "union": {"files": "data/union/*.txt"},
    "shakespeare": {"files": "data/shakespeare/*.md", "clean": "markdown"},
}
MODELS = ("llmkit", "llmkit with n-grams", "GPT")
ROWS = {f"{corpus}, {model}": (corpus, model) for corpus in CORPORA for model in MODELS}
CPU = torch.device("cpu")
SCORED_WINDOWS = 16  # of a scoring pass, side by side


@dataclass(frozen=True)
class Sizes:
    """The GPT and its training: the best of the ten tried on `union`, benchmarks/against_gpt.md."""

    layers: int = 4
    width: int = 128
    head: int = 32
    """Numbers in an attention head."""
    feed_forward: float = 2.67
    """Width of the feed-forward layers, as a multiple of `width`."""
    context: int = 128
    """Tokens in a window."""
    batch: int = 8
    spread: float = 0.02
    """Standard deviation of the weights at the start."""
    learning_rate: float = 3e-3
    warmup: int = 100
    """Steps."""
    beta2: float = 0.95
    weight_decay: float = 0.1


def build(sizes: Sizes, vocab_size: int) -> torch.nn.Module:
    """The GPT with random weights: its embedding is also the output layer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab_size,
            hidden_size=sizes.width,
            intermediate_size=32 * round(sizes.feed_forward * sizes.width / 32),
            num_hidden_layers=sizes.layers,
            num_attention_heads=sizes.width // sizes.head,
            max_position_embeddings=sizes.context,
            initializer_range=sizes.spread,
            tie_word_embeddings=True,
            use_cache=False,
            attn_implementation="eager",  # for short windows faster than "sdpa" on a CPU (against_gpt.md)
            bos_token_id=None,
            eos_token_id=None,
        )
    )


class GPTLearner:
    """Windows of the training stream in random order: as much of a `training.learner.Learner` as the loop needs."""

    unit = "tokens"

    def __init__(self, sizes: Sizes, prepared: Files, seed: int, device: torch.device = CPU):
        torch.manual_seed(seed)
        self.sizes = sizes
        self.train, self.val = (prepared.array(f"{name}.npy").astype(np.int64) for name in ("train", "val"))
        self.network = build(sizes, read_meta(prepared)["vocab_size"]).to(device)
        self.hardware = devices.Hardware(device, devices.number_type("auto", device))
        matrices = [weight for weight in self.network.parameters() if weight.ndim > 1]
        gains = [weight for weight in self.network.parameters() if weight.ndim == 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": sizes.weight_decay}, {"params": gains, "weight_decay": 0.0}],
            betas=(0.9, sizes.beta2),
            fused=True,
        )
        self.batches = batches(self.train, sizes, np.random.default_rng(seed))
        self.count = 0
        self.step_count = sizes.batch * sizes.context
        self.validation_count = len(self.val) - 1

    @property
    def epochs(self) -> float:
        return self.count / len(self.train)

    def step(self, rate: float, spent: float) -> Tensor:
        """One update on the next windows; returns their mean loss in nats per token."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        tokens = devices.given(next(self.batches), self.hardware.device)  # (B, T + 1)
        loss = F.cross_entropy(self._logits(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.count += tokens[:, 1:].numel()
        return loss.detach()

    def _logits(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, V) float32: their matrix product, too, is done in the number type, as in llmkit."""
        with self.hardware.autocast():
            return self.network(tokens).logits.float()

    @torch.no_grad()
    def validate(self, share: float = 1.0) -> dict[str, float]:
        """Over windows that do not overlap: as cheap as llmkit's, and enough to say which weights are best."""
        self.network.eval()
        part = self.val[: max(2, round(share * len(self.val)))]
        with self.hardware.autocast():
            return {"val_loss": score(self.network, part, self.sizes.context, self.sizes.context)}

    def weights(self) -> dict[str, Tensor]:
        return dict(self.network.named_parameters())  # the tied matrix once

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self.network.load_state_dict(weights, strict=False)  # the other name of the tied matrix is missing

    def samples(self) -> dict[str, bytes]:
        return {}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {}  # a benchmark that was interrupted begins again

    def load_state(self, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
        raise NotImplementedError


def batches(tokens: np.ndarray, sizes: Sizes, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """(B, T + 1) for ever: each pass cuts the stream in windows at other places and shuffles them."""
    while True:
        starts = np.arange(generator.integers(sizes.context), len(tokens) - sizes.context, sizes.context)
        generator.shuffle(starts)
        for i in range(0, len(starts) - sizes.batch + 1, sizes.batch):
            yield tokens[starts[i : i + sizes.batch, None] + np.arange(sizes.context + 1)]


@torch.no_grad()
def score(network: Any, tokens: np.ndarray, context: int, stride: int) -> float:
    """Mean loss in nats of every token but the first, each predicted once, by the first window that has it as target.

    Windows begin every `stride` tokens: past the first one, at least `context - stride` tokens are read before a
    token that counts.
    """
    targets = len(tokens) - 1
    context = min(context, targets)
    starts = np.minimum(np.arange(0, targets - context + stride, stride), targets - context)
    ends = starts + context  # of the targets, counted from 0
    first_counted = np.concatenate([[0], ends[:-1]])
    total, device = 0.0, network.device
    for i in range(0, len(starts), SCORED_WINDOWS):
        places = starts[i : i + SCORED_WINDOWS, None] + np.arange(context)  # (B, T)
        counted = torch.from_numpy(places >= first_counted[i : i + SCORED_WINDOWS, None]).to(device)
        hidden = network.model(torch.from_numpy(tokens[places]).to(device)).last_hidden_state  # (B, T, W)
        logits = network.lm_head(hidden[counted]).float()  # (n, V): only of the tokens that count
        wanted = torch.from_numpy(tokens[places + 1]).to(device)[counted]
        total += F.cross_entropy(logits, wanted, reduction="sum").item()
    return total / targets


def config_of(corpus: str, folder: Path, seconds: float, train_settings: dict[str, Any]) -> experiments.Experiment:
    """The default settings but for the files, the tokenizer and the time."""
    path = folder / f"{corpus}.yaml"
    data = {
        "task": "language",
        "run_dir": str(folder / corpus),
        "prepare": {**CORPORA[corpus], "tokenizer": {"kind": "bpe"}},
        "train": {"max_minutes": seconds / 60, **train_settings},
    }
    path.write_text(json.dumps(data), encoding="utf-8")  # JSON is YAML
    return experiments.load(path)


def ours(config: experiments.Experiment, ui: Console, device: str = "cpu") -> dict[str, Any]:
    """A training with llmkit and its figures."""
    result = train(config, force=True, fresh=True, device=device, ui=ui)
    figures = {key: result[key] for key in ("parameters", "seconds", "tokens_per_second", "tokens", "number_type")}
    folder = experiments.read_model(config.run_dir / "model")
    for split in ("val", "test"):
        scored = experiments.load(config.path, [f"evaluate.split={split}"])
        figures[f"{split}_bits_per_byte"] = evaluate([folder], scored, ui=ui)["models"][0]["bits_per_byte"]
    return figures


def gpt(
    config: experiments.Experiment,
    sizes: Sizes,
    ui: Console,
    splits: tuple[str, ...] = ("val", "test"),
    device: torch.device = CPU,
) -> dict[str, Any]:
    """A training of the GPT and its figures."""
    prepared = artifacts.read(config.run_dir / "prepared")
    learner = GPTLearner(sizes, prepared, config.settings.seed, device)
    settings = Training(
        max_minutes=config.settings.train.max_minutes,
        batch_size=sizes.batch,
        learning_rate=sizes.learning_rate,
        warmup_steps=sizes.warmup,
    )
    checkpoints = config.run_dir / "work" / "gpt"
    checkpoint.drop(checkpoints)
    with devices.flushed_denormals():
        outcome = loop.run(learner, settings, checkpoints, {}, ui.training, ui.warn)
    checkpoint.drop(checkpoints)
    ui.close()
    learner.load_weights(outcome.weights)
    learner.network.eval()
    figures: dict[str, Any] = {
        "parameters": sum(weight.numel() for weight in learner.weights().values()),
        "seconds": outcome.seconds,
        "tokens_per_second": outcome.count / outcome.seconds,
        "tokens": outcome.count,
        "number_type": str(learner.hardware.number_type).removeprefix("torch."),
        "sizes": asdict(sizes),
    }
    for split in splits:
        tokens = prepared.array(f"{split}.npy").astype(np.int64)
        nats = (len(tokens) - 1) * score(learner.network, tokens, sizes.context, sizes.context // 2)
        figures[f"{split}_bits_per_byte"] = nats / math.log(2) / read_meta(prepared)["splits"][split]["bytes"]
    return figures


def measure(name: str, folder: Path, seconds: float) -> dict[str, Any]:
    """One row."""
    corpus, model = ROWS[name]
    ui = Console()
    config = config_of(corpus, folder, seconds, {"ngram": True} if model == "llmkit with n-grams" else {})
    prepare(config, ui=ui)
    return gpt(config, Sizes(), ui) if model == "GPT" else ours(config, ui)


def show(rows: dict[str, dict[str, Any]]) -> None:
    """Print the table."""
    heads = ["parameters", "seconds", "tokens/s", "tokens", "val bits/byte", "test bits/byte"]
    print(f"{'corpus':13}{'model':21}" + "".join(f"{head:>15}" for head in heads))
    for name, row in rows.items():
        corpus, model = ROWS[name]
        counts = f"{row['parameters']:15,}{row['seconds']:15.1f}{row['tokens_per_second']:15,.0f}{row['tokens']:15,}"
        print(f"{corpus:13}{model:21}{counts}{row['val_bits_per_byte']:15.4f}{row['test_bits_per_byte']:15.4f}")


def try_sizes(changes: list[str], corpus: str, folder: Path, seconds: float) -> None:
    """Train a GPT that differs from the default in `changes`, each KEY=NUMBER, and print its validation figure."""
    sizes = replace(Sizes(), **{key: json.loads(value) for key, value in (change.split("=") for change in changes)})
    config, ui, start = config_of(corpus, folder, seconds, {}), Console(), time.monotonic()
    prepare(config, ui=ui)
    figures = gpt(config, sizes, ui, splits=("val",))
    print(json.dumps({"corpus": corpus, **figures, "all_seconds": round(time.monotonic() - start, 1)}))


def main() -> None:
    """Measure what is not measured yet, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help=f"one row: {'; '.join(ROWS)}")
    parser.add_argument("--again", action="store_true", help="measure finished rows again")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=argparse.SUPPRESS)  # shorter, to try the script
    parser.add_argument("--gpt", nargs="*", metavar="KEY=NUMBER", help="try another GPT (on --corpus) and keep nothing")
    parser.add_argument("--corpus", choices=CORPORA, default="union", help="for --gpt")
    arguments = parser.parse_args()
    if arguments.only and arguments.only not in ROWS:
        parser.error(f"--only {arguments.only}: there are {'; '.join(ROWS)}")
    folder = Path("runs/benchmarks/against_gpt" + ("" if arguments.seconds == SECONDS else f"-{arguments.seconds:g}"))
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.gpt is not None:
        return try_sizes(arguments.gpt, arguments.corpus, folder, arguments.seconds)
    results = folder / "results.json"
    rows: dict[str, dict[str, Any]] = json.loads(results.read_text()) if results.exists() else {}
    for name in [arguments.only] if arguments.only else ROWS:
        if arguments.again or name not in rows:
            rows[name] = measure(name, folder, arguments.seconds)
            artifacts.write_json(results, rows)
    shown = {name: rows[name] for name in ROWS if name in rows and arguments.only in (None, name)}
    if arguments.json:
        print(json.dumps(shown))
    else:
        show(shown)


if __name__ == "__main__":
    main()
