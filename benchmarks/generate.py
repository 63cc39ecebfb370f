"""Tokens per second of one stream, ours against what one would do instead, on weights of one shape in one run.

    python benchmarks/generate.py [--hidden 512] [--layers 2] [--seconds 3] [--json]

Rows: llmkit's greedy generation in fp32 and int8, a bare ONNX Runtime loop with argmax over the same two graphs,
stepping `torch.nn.LSTM`, reading the last 40 tokens again for each new one (the textbook layout), and Keras
`model.predict` on those 40 where TensorFlow is installed. Rounds alternate between the rows, so that a machine that
drifts drifts for all; the median round counts. Below: what a draw with top-p 0.95 costs at a vocabulary of 8,000.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from llmkit.data import tokenizer as tokenizers
from llmkit.quantization.quantize import quantize
from llmkit.runtime.sampling import Sampling, draw
from llmkit.store import artifacts, model_folder
from llmkit.tasks import experiment as experiments
from llmkit.tasks.language import graph, use
from llmkit.tasks.language.network import LanguageModel
from llmkit.tasks.language.settings import Config

EMBEDDING, WINDOW, ROUNDS, PER_CALL = 128, 40, 3, 200
CHARACTERS = "".join(map(chr, range(32, 120)))  # 88 and two special entries: a vocabulary of 90


def make_folders(network: LanguageModel, where: Path) -> dict[str, model_folder.ModelFolder]:
    """fp32 and int8 model folders of a network with random weights."""
    tokenizers.save(tokenizers.train("char", 0, [CHARACTERS]), where / tokenizers.FILE)
    files = {tokenizers.FILE: model_folder.ModelFile((where / tokenizers.FILE).read_bytes())}
    exported, weights = graph.export(network)
    for name, (model, arrays) in {"fp32": (exported, weights), "int8": quantize(exported, weights)}.items():
        with artifacts.building(where / name) as folder:
            roles = model_folder.write(folder.path, model, arrays, Config(), files)
            folder.finish(stage="train", task="language", settings={}, seed=0, result={"parameters": 0}, roles=roles)
    return {name: experiments.read_model(where / name) for name in ("fp32", "int8")}


def ours(model: use.LanguageModel) -> Callable[[], int]:
    """`write`, greedily: what `llmkit generate --greedy` runs."""
    chosen = use.settings({"greedy": True, "max_tokens": PER_CALL, "stop_at_document_end": False})
    return lambda: len(model.write([""], chosen, seed=1)[0].ids)


def bare_loop(model: use.LanguageModel) -> Callable[[], int]:
    """The same session stepped with nothing but argmax."""
    run, names = model._session.run, list(model.state_sizes)

    def call() -> int:
        state, token = list(model._zero_state(1).values()), np.zeros((1, 1), np.int64)
        for _ in range(PER_CALL):
            logits, *state = run(None, {"tokens": token, **dict(zip(names, state, strict=True))})
            token = logits.argmax(-1)
        return PER_CALL

    return call


def torch_lstm(network: LanguageModel, window: int | None) -> Callable[[], int]:
    """`nn.LSTM` token by token with its state, or over the last `window` tokens for each new one."""
    lstm = torch.nn.LSTM(EMBEDDING, network.hidden_size, network.layers).eval()
    output = torch.nn.Linear(network.hidden_size, network.vocab_size).eval()
    table = network.embedding.detach()

    @torch.no_grad()
    def call() -> int:
        count = 20 if window else 40
        tokens, state = [0] * (window or 1), None
        for _ in range(count):
            out, new_state = lstm(table[tokens][:, None], state)
            state = None if window else new_state
            tokens = [*tokens, int(output(out[-1, 0]).argmax())][-(window or 1) :]
        return count

    return call


def keras_predict(network: LanguageModel) -> Callable[[], int] | None:
    """The Keras tutorials' loop, where TensorFlow is installed."""
    if find_spec("tensorflow") is None or find_spec("keras") is None:
        return None
    import keras

    layers = [keras.layers.Embedding(network.vocab_size, EMBEDDING)]
    layers += [
        keras.layers.LSTM(network.hidden_size, return_sequences=k < network.layers - 1) for k in range(network.layers)
    ]
    model = keras.Sequential(
        [keras.Input((WINDOW,)), *layers, keras.layers.Dense(network.vocab_size, activation="softmax")]
    )

    def call() -> int:
        tokens = [0] * WINDOW
        for _ in range(5):
            tokens = [*tokens[1:], int(model.predict(np.array([tokens]), verbose=0)[0].argmax())]
        return 5

    return call


def measure(rows: dict[str, Callable[[], int]], seconds: float) -> dict[str, float]:
    """Median tokens per second of each row over rounds that take turns."""
    rates: dict[str, list[float]] = {name: [] for name in rows}
    for call in rows.values():
        call()
    for _ in range(ROUNDS):
        for name, call in rows.items():
            start, tokens = time.perf_counter(), 0
            while time.perf_counter() - start < seconds / ROUNDS:
                tokens += call()
            rates[name].append(tokens / (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in rates.items()}


def sampler_microseconds(vocab_size: int = 8000, draws: int = 3000) -> dict[str, float]:
    """Mean microseconds of a draw with top-p 0.95, for three shapes of distribution.

    zipf: probabilities fall like 1 / rank, with noise; sharp: half of the weight on a handful of tokens; flat: normal
    logits, thousands of tokens in the nucleus.
    """
    generator = np.random.default_rng(0)
    shapes = {
        "sharp": -2.5 * np.log(np.arange(1, vocab_size + 1)),
        "zipf": -np.log(np.arange(1, vocab_size + 1)),
        "flat": np.zeros(vocab_size),
    }
    how = Sampling(temperature=1.0, top_p=0.95)
    result = {}
    for name, shape in shapes.items():
        rows = [generator.permutation(shape) + generator.standard_normal(vocab_size) for _ in range(50)]
        rows = [row.astype(np.float32) for row in rows]
        start = time.perf_counter()
        for i in range(draws):
            draw(rows[i % len(rows)], how, generator)
        result[name] = 1e6 * (time.perf_counter() - start) / draws
    return result


def main() -> None:
    """Measure, print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0, help="per row")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    network = LanguageModel(len(CHARACTERS) + 2, EMBEDDING, arguments.hidden, arguments.layers).eval()
    with tempfile.TemporaryDirectory() as where:
        models = {name: use.load(folder) for name, folder in make_folders(network, Path(where)).items()}
        rows: dict[str, Callable[[], int] | None] = {
            "torch.nn.LSTM, stepped": torch_lstm(network, None),
            "torch.nn.LSTM, last 40 again": torch_lstm(network, WINDOW),
            "Keras model.predict, last 40": keras_predict(network),
            "bare ONNX Runtime loop, fp32": bare_loop(models["fp32"]),
            "llmkit, fp32": ours(models["fp32"]),
            "bare ONNX Runtime loop, int8": bare_loop(models["int8"]),
            "llmkit, int8": ours(models["int8"]),
        }
        rates = measure({name: call for name, call in rows.items() if call}, arguments.seconds)
    sampler = sampler_microseconds()
    if arguments.json:
        print(json.dumps({"tokens_per_second": rates, "sampler_microseconds": sampler}))
        return
    stepped = rates["torch.nn.LSTM, stepped"]
    print(f"hidden {arguments.hidden}, {arguments.layers} layers, vocabulary {network.vocab_size}, one stream\n")
    for name in rows:
        shown = (
            f"{rates[name]:10,.0f} tokens/s {rates[name] / stepped:8.2f} × stepped"
            if name in rates
            else "not installed"
        )
        print(f"{name:30} {shown}")
    for kind in ("fp32", "int8"):
        share = rates[f"llmkit, {kind}"] / rates[f"bare ONNX Runtime loop, {kind}"]
        print(f"llmkit, {kind}: {100 * share:.0f} % of the bare loop")
    shown = ", ".join(f"{name} {microseconds:.0f} µs" for name, microseconds in sampler.items())
    print(f"a draw with top-p 0.95 at a vocabulary of 8,000: {shown}")


if __name__ == "__main__":
    main()
