"""card.md: what a model folder is, for whoever finds it: data, settings, figures, how to use it."""

from typing import Any

import yaml

from llmkit.config import Config, to_data
from llmkit.model_folder import ModelFolder


def trained(config: Config, prepared: dict[str, Any], figures: dict[str, Any]) -> str:
    """The card of a freshly trained model; `prepared` is the manifest of its data."""
    settings = to_data(config.settings)
    shown = {name: settings[name] for name in ("prepare", "model", "train")}
    return "\n".join(
        [
            f"# {config.path.stem}",
            "",
            f"A {config.task} model made by llmkit {prepared['llmkit_version']}.",
            "",
            *_figures(figures),
            "## Trained on",
            "",
            *_sources(prepared["inputs"]),
            "",
            "Licences are those of these sources; llmkit does not know them.",
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


def compressed(original: ModelFolder, name: str, settings: dict[str, Any], figures: dict[str, Any]) -> str:
    """The card of a compressed model: what was done, then the card of the original."""
    lines = [
        f"# {name}",
        "",
        f"Compressed from the model below: {', '.join(f'{key} {value}' for key, value in settings.items())}.",
        "",
        *_figures(figures),
    ]
    card = original.path / "card.md"
    before = card.read_text(encoding="utf-8") if card.exists() else ""
    return "\n".join(lines) + "\n" + before.replace("\n# ", "\n## ").replace("# ", "## ", 1)


def _figures(figures: dict[str, Any]) -> list[str]:
    rows = [
        f"| {key} | {value:.6g} |" if isinstance(value, float) else f"| {key} | {value} |"
        for key, value in figures.items()
    ]
    return ["| figure | value |", "| --- | --- |", *rows, ""]


def _sources(inputs: list[dict[str, Any]]) -> list[str]:
    rows = [f"| {item['path']} | {item['bytes']} | {item['sha256']} |" for item in inputs]
    return ["| file | bytes | SHA-256 |", "| --- | --- | --- |", *rows]


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
