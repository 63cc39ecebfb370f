"""Promises of the documentation: every config runs, README commands exist, the reference is what the settings say."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from small_pictures import squares

from llmkit.cli import reference
from llmkit.stages.compress import compress
from llmkit.stages.evaluate import evaluate
from llmkit.stages.models import read
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.tasks import experiment as experiments

ROOT = Path(__file__).parents[1]
COMMANDS = ("prepare", "train", "tune", "compress", "generate", "evaluate", "init", "serve")
SHRUNK = {
    "language": [
        "train.steps=3",
        "model.hidden_size=8",
        "model.embedding_size=4",
        "prepare.split={val: 0.2, test: 0.2}",
    ],
    "classify": ["train.steps=3", "model.hidden_size=8", "model.embedding_size=4"],
    "image": ["train.steps=3", "model.width=4", "model.discriminator_width=4", "prepare.split={val: 0.2, test: 0.2}"],
    "translate": ["train.steps=3", "model={hidden_size: 16, heads: 2, encoder_layers: 1, decoder_layers: 1}"],
    "series": [
        "train.steps=3",
        "model={hidden_size: 8, members: 2}",
        "prepare.horizon=4",
        "prepare.season=6",
        "prepare.split={val: 1, test: 1}",
    ],
    "vision": ["train.steps=3", "model.width=8", "prepare.split={val: 0.2, test: 0.2}"],
    "table": ["train.steps=3", "train.folds=2", "model.hidden_size=8", "model.members=2"],
}


def write_language(folder, settings):
    for number in range(6):
        (folder / f"{number}.md").write_text(f"# Play {number}\n\n**A**  \nWords, words, words {number}.\n" * 20)


def write_classify(folder, settings):
    words = ["good", "bad", "film", "plot"]
    rows = [f"{words[k % 2]} {words[2 + k % 2]},class {k % 2}" for k in range(60)]
    (folder / "texts.csv").write_text(f"{settings.text},{settings.label}\n" + "\n".join(rows) + "\n")


def write_table(folder, settings):
    """Rows with the columns that the config names and two more."""
    head = [settings.label, *settings.categories, *settings.numbers, "length", "width"]
    labels = [str(100 + k * k) if settings.predict == "number" else f"class {k % 2}" for k in range(140)]
    rows = [[label, *(str((k + c) % 3) for c in range(1, len(head)))] for k, label in enumerate(labels)]
    (folder / "rows.csv").write_text("\n".join(",".join(row) for row in [head, *rows]) + "\n")


def write_series(folder, settings):
    """Two days by the hour, in the columns that the config names."""
    columns = [settings.time or "time", *([settings.series] if settings.series else []), settings.value or "value"]
    rows = [f"2024-03-{1 + k // 24:02d} {k % 24:02d}:00,{'a,' * (len(columns) - 2)}{k % 6}" for k in range(48)]
    (folder / "series.csv").write_text("\n".join([",".join(columns), *rows]) + "\n")


def write_translate(folder, settings):
    """Pairs in the columns that the config names, with letters of the scripts that it asks for."""
    letters = {"han": "打开关闭文件夹窗口打印页面", "any": "abcdefghijklm", "latin": "abcdefghijklm"}
    texts = (
        "".join(letters[script][(k * p + p) % 13] for p in range(1, 6))
        for k in range(60)
        for script in (settings.source_script, settings.target_script)
    )
    rows = [f"{first},{second}x" for first, second in zip(texts, texts, strict=True)]
    (folder / "pairs.csv").write_text("\n".join([f"{settings.source},{settings.target}", *rows]) + "\n")


def write_image(folder, settings):
    """Rows of pixels with a label where the config says."""
    pixels, labels = squares(120)
    assert settings.label == "last"
    rows = [",".join([*map(str, picture.ravel()), label]) for picture, label in zip(pixels, labels, strict=True)]
    (folder / "pictures.csv").write_text("\n".join(rows) + "\n")


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_runs_on_small_data(path, tmp_path, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    overrides = [f"prepare.files={data}/*", f"run_dir={tmp_path / 'run'}"]
    monkeypatch.setattr("llmkit.tasks.image.feature_network.STEPS", 20)
    task = experiments.load(path).task.name
    writers = {"language": write_language, "classify": write_classify, "table": write_table, "image": write_image}
    writers |= {"translate": write_translate, "series": write_series, "vision": write_image}
    writers[task](data, experiments.load(path).settings.prepare)
    config = experiments.load(path, [*overrides, *SHRUNK[task], "evaluate.require={}"])
    prepare(config)
    train(config)
    made = compress(config)
    folders = [read(config, name, lambda message: None) for name in ("model", *config.settings.compress)]
    report = evaluate(folders, config, keep=True)
    assert [row["name"] for row in report["models"]] == ["model", *(row["name"] for row in made["models"])]


def test_config_reference_is_up_to_date():
    assert (ROOT / "docs" / "config.md").read_text() == reference.text(), "run: make docs"


def commands(text: str) -> list[list[str]]:
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    lines = [line.split("  #")[0] for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(("llmkit ", "make ", "python "))]


def test_the_commands_of_the_readme_are_there():
    """Stages, options, make targets, scripts and configs that the README names exist."""
    makefile = (ROOT / "Makefile").read_text()
    found = commands((ROOT / "README.md").read_text())
    assert len(found) >= 10
    for program, *arguments in found:
        if program == "make":
            assert re.search(rf"^{arguments[0]}:", makefile, re.MULTILINE), arguments
        elif program == "python":
            assert (ROOT / arguments[0]).exists(), arguments
        else:
            assert arguments[0] in COMMANDS, arguments
            for argument in arguments[1:]:
                if argument.startswith("configs/"):
                    assert (ROOT / argument).exists(), argument


def test_the_map_of_the_readme_shows_every_room_in_the_order_of_the_layers():
    text = (ROOT / "README.md").read_text()
    rooms = re.findall(r"^  (\w+)/ ", text, re.MULTILINE)
    assert sorted(rooms) == sorted(path.parent.name for path in (ROOT / "llmkit").glob("*/__init__.py"))
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    floor = {room.strip(): number for number, layer in enumerate(layers) for room in layer.split("|")}
    assert [floor[room] for room in rooms] == sorted(floor[room] for room in rooms)
    for name in re.findall(r"[a-z]+/[a-z_]+\.py$", text, re.MULTILINE):
        assert (ROOT / "llmkit" / name).exists(), name


def test_every_promise_of_security_has_tests_that_are_there():
    """Each paragraph in bold is followed by the tests that keep it; each of those is a test of the file it names."""
    text = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 40
    for file, name in named:
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"{file} has no {name}"
    promises = [part for part in text.split("\n\n") if part.startswith("**")]
    assert len(promises) >= 9
    for promise in promises:
        assert "\n- `tests/" in promise, promise.partition("\n")[0]
