"""report.html of an evaluation: what the model is, its data, its figures beside baselines, then what its task tells."""

from collections.abc import Sequence

from llmkit.console import tables
from llmkit.console.tables import Column
from llmkit.data.files import told
from llmkit.plain import Json
from llmkit.report import html
from llmkit.report.html import Section
from llmkit.store import artifacts
from llmkit.store.model_folder import ModelFolder

LEFT_OUT = ("name", "model", "unmet", "up_to_date")  # of a row: they are no figures
MADE_BY = ("method", "steps", "epochs", "seconds", "val_loss", "temperature", "number_type")
ORDER = {"train": 0, "val": 1, "test": 2}  # a manifest has its keys in alphabetical order
MOST_FILES = 20  # that are listed
MOST_LABELS = 30  # of a confusion that is drawn


def page(folder: ModelFolder, prepared: artifacts.Artifact | None, metrics: Json, more: Sequence[Section]) -> str:
    """The whole file; `more` are the task's sections."""
    found = [_about(folder), *([_data(prepared)] if prepared else []), _figures(metrics)]
    confusion = metrics.get("confusion")
    if isinstance(confusion, dict) and len(confusion) <= MOST_LABELS:
        found.append(Section("Which label was taken for which", html.confusion(confusion)))
    return html.page(f"{folder.name}: {folder.task} model", [*found, *more, *_explained(metrics)])


def comparison(rows: Sequence[Json], columns: Sequence[Column], task: str) -> str:
    """Models side by side: the columns of their task, then their confusions."""
    shown = [column for column in columns if any(row.get(column.metric) is not None for row in rows)]
    lines = [[row["name"], *(_cell(column.metric, row.get(column.metric)) for column in shown)] for row in rows]
    found = [Section("Side by side", html.table(["model", *(column.heading for column in shown)], lines))]
    for row in rows:
        confusion = row.get("confusion")
        if isinstance(confusion, dict) and len(confusion) <= MOST_LABELS:
            found.append(Section(f"{row['name']}: which label was taken for which", html.confusion(confusion)))
    return html.page(f"{len(rows)} {task} models", found)


def _about(folder: ModelFolder) -> Section:
    rows = [["task", folder.task], ["made by", folder.artifact.manifest["stage"]], ["folder", told(folder.path)]]
    rows += [["size", _cell("size_bytes", folder.size_bytes)], ["parameters", f"{folder.parameters:,}"]]
    rows += [[key, tables.number(folder.result[key])] for key in MADE_BY if _plain(folder.result.get(key))]
    return Section("The model", html.table(["", ""], rows))


def _data(prepared: artifacts.Artifact) -> Section:
    result = prepared.manifest["result"]
    rows = [[key, tables.number(value)] for key, value in result.items() if _plain(value)]
    body = html.table(["", ""], rows) if rows else ""
    splits = result.get("splits")
    if isinstance(splits, dict) and all(isinstance(one, dict) for one in splits.values()):
        names = list(dict.fromkeys(key for one in splits.values() for key in one))
        order = sorted(splits.items(), key=lambda split: ORDER.get(split[0], len(ORDER)))
        lines = [[split, *(tables.number(one.get(name)) for name in names)] for split, one in order]
        body += html.table(["split", *names], lines)
    files = [
        [told(str(source.get("path", ""))), f"{source.get('bytes', 0):,}"]
        for source in prepared.manifest.get("inputs", [])
    ]
    more = [[f"and {len(files) - MOST_FILES:,} more", ""]] if len(files) > MOST_FILES else []
    return Section("The data", body + (html.table(["file", "bytes"], files[:MOST_FILES] + more) if files else ""))


def _figures(metrics: Json) -> Section:
    """Figures, and the same of each baseline beside them."""
    baselines = metrics.get("baselines") or {}
    rows = [
        [key, _cell(key, value), *(_cell(key, other.get(key)) if key in other else "" for other in baselines.values())]
        for key, value in metrics.items()
        if key not in LEFT_OUT and _plain(value)
    ]
    body = html.table(["figure", "model", *baselines], rows)
    for key, value in metrics.items():
        if isinstance(value, dict) and value and all(one is None or _plain(one) for one in value.values()):
            lines = [[name, _cell(name, figure)] for name, figure in value.items()]
            body += f"<h3>{html.escape(key)}</h3>" + html.table(["figure", ""], lines)
    for key, heading in {"canaries": "repeats", "memorised": "tokens"}.items():
        by = metrics.get(key)
        if isinstance(by, dict) and by and all(isinstance(row, dict) for row in by.values()):
            names = list(next(iter(by.values())))
            lines = [[first, *(_cell(name, row.get(name)) for name in names)] for first, row in by.items()]
            body += f"<h3>{key}</h3>" + html.table([heading, *names], lines)
    return Section("Figures", body)


def _explained(metrics: Json) -> list[Section]:
    """What counts over all examples, where `evaluate.explain` asked for it."""
    found = []
    if importance := metrics.get("importance"):
        lines = [[name, *(f"{one[end]:+.4g}" for end in ("rise", "low", "high"))] for name, one in importance.items()]
        note = "By how much the loss rises where a column's values are dealt out anew, with a 95 % interval."
        table = html.table(["column", "rise", "from", "to"], lines)
        found.append(Section("What the columns count", html.paragraph(note) + table))
    if words := metrics.get("words"):
        lines = [[label, ", ".join(word["word"] for word in some)] for label, some in words.items()]
        found.append(Section("Words of most weight", html.table(["label", "words"], lines, figures=2)))
    return found


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


def _cell(name: str, value: object) -> str:
    if name.endswith("_bytes") and isinstance(value, int | float):
        return tables.size(value)
    return tables.number(value)
