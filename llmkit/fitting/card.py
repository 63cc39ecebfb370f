"""card.md: what a model folder is, for whoever finds it: data, settings, figures, how to use it."""

from pathlib import Path

import yaml

from llmkit.config.schema import to_data
from llmkit.console import tables
from llmkit.plain import Json
from llmkit.store.artifacts import Manifest, Source
from llmkit.store.model_folder import CARD, ModelFolder
from llmkit.tasks.experiment import Experiment
from llmkit.version import __version__


def trained(experiment: Experiment, prepared: Manifest, result: Json) -> str:
    """The card of a freshly trained model; `prepared` is the manifest of its data."""
    settings = to_data(experiment.settings)
    shown = {name: settings[name] for name in ("prepare", "model", "train")}
    return "\n".join(
        [
            f"# {experiment.path.stem}",
            "",
            f"A {experiment.task.name} model made by llmkit {__version__}.",
            "",
            *_metrics(result),
            "## Trained on",
            "",
            *_sources(prepared["inputs"]),
            "",
            *_licences(prepared["inputs"]),
            "",
            "## Settings",
            "",
            "```yaml",
            yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).rstrip(),
            "```",
            "",
            *USE,
        ]
    )


def compressed(original: ModelFolder, name: str, how: str, result: Json) -> str:
    """The card of a compressed model: what was done (`how`, in words), then the card of the original."""
    lines = [
        f"# {name}",
        "",
        f"Compressed from the model below: {how}.",
        "",
        *_metrics(result),
    ]
    before = original.read_text(CARD) if CARD in original else ""
    return "\n".join(lines) + "\n" + before.replace("\n# ", "\n## ").replace("# ", "## ", 1)


def _metrics(result: Json) -> list[str]:
    rows = [
        [key, f"{value:.6g}" if isinstance(value, float) else str(value)]
        for key, value in result.items()
        if not isinstance(value, dict | list)
    ]
    return [*tables.markdown(["figure", "value"], rows), ""]


def _sources(inputs: list[Source]) -> list[str]:
    return tables.markdown(
        ["file", "bytes", "SHA-256"], [[str(item[key]) for key in ("path", "bytes", "sha256")] for item in inputs]
    )


def _licences(inputs: list[Source]) -> list[str]:
    """A line for each folder of raw files whose SOURCE.yaml (data/fetch.py writes one) names its licence."""
    lines = []
    for folder in dict.fromkeys(Path(item["path"]).parent for item in inputs):
        source = folder / "SOURCE.yaml"
        try:
            about = yaml.safe_load(source.read_text(encoding="utf-8"))
            lines.append(f"- {folder}: from {about['package']} {about['version']}, licence: {about['licence']}")
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
            continue  # none there, or a file of the user's own that happens to have the name
    return lines or ["Licences: those of these files; their folders hold no SOURCE.yaml that names one."]


USE = [
    "## Use",
    "",
    "```python",
    "import llmkit",
    "",
    'model = llmkit.load("this folder")',
    "```",
    "",
    "or `llmkit generate FOLDER` and `llmkit evaluate FOLDER` in a terminal; neither needs torch.",
    "",
]
