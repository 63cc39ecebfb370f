"""card.md: what a model folder is, for whoever finds it: use and limits, data, settings, figures, how to use it.

In: the config, the manifest of the data, figures. Out: Markdown, in which no path of somebody's own folders stands.
"""

from collections.abc import Sequence
from pathlib import Path

import yaml

from llmkit.config.places import data_without_places
from llmkit.config.root import Card, Root
from llmkit.console import tables
from llmkit.data.files import told
from llmkit.plain import Json
from llmkit.store.manifests import Manifest, Source
from llmkit.store.model_folder import CARD, ModelFolder
from llmkit.tasks.experiment import Experiment
from llmkit.version import __version__

# The figures of an evaluation that tell of the training data, by how they begin.
PRIVACY = ("epsilon", "delta", "exposure", "lstm_exposure", "ngram_exposure", "memorised", "membership")


def trained(experiment: Experiment, prepared: Manifest, result: Json) -> str:
    """The card of a freshly trained model; `prepared` is the manifest of its data."""
    settings = data_without_places(experiment.settings)
    shown = {name: settings[name] for name in ("prepare", "model", "train")}
    return "\n".join(
        [
            f"# {experiment.path.stem}",
            "",
            f"A {experiment.task.name} model made by llmkit {__version__}.",
            "",
            *_use(experiment.settings.card),
            *_metrics(result),
            *(PRIVATE if "epsilon" in result else []),
            "## Trained on",
            "",
            *_sources(prepared["inputs"]),
            "",
            *_licences(prepared["inputs"], experiment.settings),
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


def evaluated(folder: ModelFolder, settings: Root, data: Sequence[str], metrics: Json) -> str:
    """The card of a model with what an evaluation measured; `data` are lines on what it was measured on."""
    before = folder.read_text(CARD) if CARD in folder else f"# {folder.name}\n"
    privacy = {key: value for key, value in metrics.items() if key.startswith(PRIVACY)}
    rest = {key: value for key, value in metrics.items() if key not in privacy}
    lines = [
        "",
        "# Measured",
        "",
        f"By `llmkit evaluate` of llmkit {__version__}, seed {settings.seed}; manifest.json of the model folder has "
        f"the SHA-256 {folder.artifact.hash}.",
        *data,
        "",
        *_use(settings.card),
        "## Quality, size and speed",
        "",
        *_metrics(rest),
        "## What it gives away of its training data",
        "",
        *(_privacy(privacy, metrics) if privacy else [NO_PRIVACY, ""]),
    ]
    return before.rstrip() + "\n" + "\n".join(lines)


def _use(card: Card | None) -> list[str]:
    """What the config's own section says of the model."""
    lines: list[str] = []
    for heading, text in {
        "Intended use": card and card.intended_use,
        "Limits": card and card.limits,
        "Contact": card and card.contact,
    }.items():
        if text:
            lines += [f"## {heading}", "", text.strip(), ""]
    return lines


def _metrics(result: Json) -> list[str]:
    rows = [[key, _shown(value)] for key, value in result.items() if not isinstance(value, dict | list)]
    return [*tables.markdown(["figure", "value"], rows), ""]


def _privacy(figures: Json, metrics: Json) -> list[str]:
    """Figures, then those of canaries and of passages by themselves."""
    lines = _metrics(figures)
    for name, rows in {"repeats": metrics.get("canaries"), "tokens": metrics.get("memorised")}.items():
        if rows:
            columns = list(next(iter(rows.values())))
            lines += [
                *tables.markdown(
                    [name, *columns], [[key, *(_shown(row[column]) for column in columns)] for key, row in rows.items()]
                ),
                "",
            ]
    return lines


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _sources(inputs: list[Source]) -> list[str]:
    return tables.markdown(
        ["file", "bytes", "SHA-256"], [[told(item["path"]), str(item["bytes"]), str(item["sha256"])] for item in inputs]
    )


def _licences(inputs: list[Source], settings: Root) -> list[str]:
    """What `prepare.licence` says, else a line for each folder of raw files whose SOURCE.yaml (data/fetch.py writes
    one) names its licence."""
    if settings.prepare.licence:
        return [f"Licence: {settings.prepare.licence.strip()}"]
    lines = []
    for folder in dict.fromkeys(Path(item["path"]).parent for item in inputs):
        source = folder / "SOURCE.yaml"
        try:
            about = yaml.safe_load(source.read_text(encoding="utf-8"))
            lines.append(f"- {told(folder)}: from {about['package']} {about['version']}, licence: {about['licence']}")
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
            continue  # none there, or a file of the user's own that happens to have the name
    return lines or [
        "Licences: those of these files; prepare.licence is not set, their folders hold no SOURCE.yaml that names one."
    ]


PRIVATE = [
    "Trained with differential privacy (train.private): epsilon and delta bound what the weights tell of any single "
    "training row. Not covered: how columns are read and scaled (columns.json), the names of the labels, and the "
    "validation rows, which chose the best weights and the temperature.",
    "",
]
NO_PRIVACY = (
    "Not measured. (`prepare.canaries`, `evaluate.memorised` and `evaluate.membership` do; llmkit's docs/privacy.md.)"
)
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
