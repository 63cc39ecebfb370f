"""What `task: translate` gives on real data: Chinese help pages in English, and how English words are said.

    python benchmarks/translate.py [--only llmkit] [--again] [--json]

Needs the extras `train` and `translate` and the data (python data/fetch.py help phonemes). Row "llmkit" is
configs/help-zh-en.yaml as it stands, with its int8 variant beside it; "phonemes" is configs/phonemes.yaml. `memory` in
each is the translation memory: the nearest training source's answer. Finished rows are kept in
benchmarks/results/translate.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import rows as finished

from llmkit.stages.compress import compress
from llmkit.stages.evaluate import evaluate
from llmkit.stages.models import read
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.tasks import experiment as experiments

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "translate"
Row = dict[str, Any]


def run(name: str) -> tuple[Row, Row]:
    """The figures of a config's model and of its int8 variant."""
    config = experiments.load(ROOT / "configs" / f"{name}.yaml", [f"run_dir={RESULTS / name}", "evaluate.require={}"])
    prepare(config)
    train(config)
    compress(config, ["int8"])
    folders = [read(config, model, print) for model in ("model", "int8")]
    plain, int8 = evaluate(folders, config)["models"]
    return plain, int8


def sentences() -> Row:
    """Row "llmkit"."""
    plain, int8 = run("help-zh-en")
    memory = plain["baselines"]["memory"]
    return {
        "bleu": plain["bleu"],
        "bleu_above_memory": plain["bleu"] - memory["bleu"],
        "chrf": plain["chrf"],
        "signature": plain["signature"],
        "exact": plain["exact"],
        "loss": plain["loss"],
        "size_bytes": plain["size_bytes"],
        "int8_bleu": int8["bleu"],
        "int8_bleu_change": int8["bleu"] - plain["bleu"],
        "int8_size_bytes": int8["size_bytes"],
        "sentences_per_second": int8["sentences_per_second"],
        "first_translation_ms": int8["first_translation_ms"],
        "memory": {name: memory[name] for name in ("bleu", "chrf", "exact")},
    }


def sounds() -> Row:
    """Row "phonemes"."""
    plain, int8 = run("phonemes")
    rates = ("word_error_rate", "phoneme_error_rate")
    return {
        **{name: plain[name] for name in (*rates, "loss", "size_bytes")},
        **{f"int8_{name}": int8[name] for name in (*rates, "size_bytes")},
        "sentences_per_second": int8["sentences_per_second"],
        "memory": {name: plain["baselines"]["memory"][name] for name in rates},
    }


def main() -> None:
    """Measure, print a table or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="measure this row alone")
    parser.add_argument("--again", action="store_true", help="measure finished rows again")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    measures = {"llmkit": sentences, "phonemes": sounds}
    found = finished.asked(finished.measured(parser, arguments, measures, RESULTS), arguments.only)
    if arguments.json:
        print(json.dumps(found))
        return
    for name, row in found.items():
        print(name)
        for figure, value in row.items():
            print(f"  {figure:24}{value if isinstance(value, dict) else format(value, ',.4f')}")


if __name__ == "__main__":
    main()
