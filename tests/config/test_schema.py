"""config.py: what a config may say, what is said about mistakes, and promises about every key."""

import re
import subprocess
import sys
import typing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

import llmkit
from llmkit import tasks
from llmkit.cli import reference
from llmkit.config import schema as config, yaml_text
from llmkit.config.schema import Section
from llmkit.errors import ConfigError, InputError
from llmkit.tasks.language.settings import Train

ROOT = Path(llmkit.__file__).parents[1]
CONFIGS = sorted(ROOT.glob("configs/*.yaml"))
STARTERS = sorted(Path(llmkit.__file__).parent.glob("tasks/*/starter.yaml"))
KNOWN_TASKS = ", ".join(tasks.TASKS)


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads the text of a config, written to c.yaml in the working directory."""
    monkeypatch.chdir(tmp_path)

    def load(text: str, *overrides: str, values: dict | None = None) -> config.Config:
        Path("c.yaml").write_text(text, encoding="utf-8")
        return config.load("c.yaml", overrides, values)

    return load


@pytest.fixture
def mistakes(load):
    """The lines of the message that a config is refused with."""

    def mistakes(text: str, *overrides: str, values: dict | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text, *overrides, values=values)
        return str(caught.value).split("\n")

    return mistakes


# --- what is read -------------------------------------------------------------------------------------------


def test_an_empty_file_is_a_config_of_defaults(load):
    loaded = load("")
    assert loaded.task == "language"
    assert loaded.run_dir == Path("runs/c")  # named after the file
    assert loaded.settings.train.budget == ("max_minutes", 3.0)
    assert loaded.settings == load("task: language\ntrain:\nmodel:\nprepare: {split: }\ncompress:\n").settings


def test_values_of_the_file_and_defaults_beside_them(load):
    loaded = load("run_dir: elsewhere\nseed: 7\ntrain: {learning_rate: 1e-4, epochs: 2}\nmodel: {layers: 2}")
    assert loaded.run_dir == Path("elsewhere")
    assert loaded.settings.seed == 7
    assert loaded.settings.train.learning_rate == 0.0001
    assert loaded.settings.train.budget == ("epochs", 2)
    assert (loaded.settings.model.layers, loaded.settings.model.hidden_size) == (2, 448)


def test_named_variants(load):
    variants = load("compress: {a: {method: quantize}, b: {method: quantize, bits: 8}}").settings.compress
    assert list(variants) == ["a", "b"]
    assert variants["a"] == variants["b"]
    assert load("compress: {}").settings.compress == {}
    assert list(load("compress:").settings.compress) == ["int8"]  # left empty is left out


def test_settings_cannot_be_changed(load):
    with pytest.raises(AttributeError):
        load("").settings.seed = 2


# --- what is refused ----------------------------------------------------------------------------------------


LONG = "text '" + f"text {'long ' * 99}"[:60] + "…'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("taks: language", "c.yaml:1: taks: unknown key; did you mean task?"),
        (
            "seed: 1\ntrain:\n  learning_rat: 1",
            "c.yaml:3: train.learning_rat: unknown key; did you mean learning_rate?",
        ),
        (
            "prepare:\n  split:\n    zzz: 1",
            "c.yaml:3: prepare.split.zzz: unknown key; known here: val, test, by",
        ),
        (
            "train:\n  learning_rate: fast",
            "c.yaml:2: train.learning_rate: expected a number, got text 'fast'",
        ),
        ("train:\n  learning_rate:", "c.yaml:2: train.learning_rate: expected a number, got null"),
        ("train: {batch_size: 2.5}", "c.yaml:1: train.batch_size: expected a whole number, got 2.5"),
        ("train: {batch_size: true}", "c.yaml:1: train.batch_size: expected a whole number, got true"),
        ("train: {batch_size: [8]}", "c.yaml:1: train.batch_size: expected a whole number, got a list"),
        ("generate: {greedy: no}", "c.yaml:1: generate.greedy: expected true or false, got text 'no'"),
        ("prepare: {field: 3}", "c.yaml:1: prepare.field: expected text or null, got 3"),
        ("train: {batch_size: 0}", "c.yaml:1: train.batch_size: expected a whole number >= 1, got 0"),
        ("train: {steps: -1}", "c.yaml:1: train.steps: expected a whole number >= 1, got -1"),
        ("train: {learning_rate: 0}", "c.yaml:1: train.learning_rate: expected a number > 0.0, got 0"),
        ("model: {dropout: 1}", "c.yaml:1: model.dropout: expected a number < 1.0, got 1"),
        ("train:\n  5", "c.yaml:1: train: expected a section of keys, got 5"),
        (
            "prepare: {tokenizer: char}",
            "c.yaml:1: prepare.tokenizer: expected a section of keys, got text 'char'",
        ),
        ("compress: [int8]", "c.yaml:1: compress: expected a section of keys, got a list"),
        ("prepare:\n  files:\n  - a\n  - 3", "c.yaml:4: prepare.files.1: expected text, got 3"),
        (
            "prepare: {tokenizer: {kind: chat}}",
            "c.yaml:1: prepare.tokenizer.kind: 'chat' is not one of char, byte, word, bpe; did you mean char?",
        ),
        (
            "task: langage",
            f"c.yaml:1: task: 'langage' is not a task; choose from {KNOWN_TASKS}; did you mean language?",
        ),
        ("seed: 1\ntask: [text]", f"c.yaml:2: task: ['text'] is not a task; choose from {KNOWN_TASKS}"),
        (
            "compress:\n  s: {method: quantise}",
            "c.yaml:2: compress.s.method: 'quantise' is not one of quantize, prune, distil, fuse, chain, budget; "
            "did you mean quantize?",
        ),
        (
            "compress:\n  small: {method: [a]}",
            "c.yaml:2: compress.small.method: ['a'] is not one of quantize, prune, distil, fuse, chain, budget",
        ),
        (
            "compress:\n  small: {bits: 8}",
            "c.yaml:2: compress.small: needs method: one of quantize, prune, distil, fuse, chain, budget",
        ),
        (
            "compress:\n  small: {method: quantize, group_size: 32}",
            "c.yaml:2: compress.small: group_size is for bits: 4; leave it out, or set bits: 4",
        ),
        (
            "compress:\n  small: {method: prune, sparsity: 1.0}",
            "c.yaml:2: compress.small.sparsity: expected a number < 1.0, got 1.0",
        ),
        (
            "compress:\n  small: {method: prune, sparsity: 0}",
            "c.yaml:2: compress.small.sparsity: expected a number > 0.0, got 0",
        ),
        (
            "compress:\n  small:\n    method: distil\n    model:\n      hidden_sise: 5",
            "c.yaml:5: compress.small.model.hidden_sise: unknown key; did you mean hidden_size?",
        ),
        (
            "compress:\n  small:\n    method: chain\n    steps:\n    - {method: prune, sparcity: 0.8}",
            "c.yaml:5: compress.small.steps.0.sparcity: unknown key; did you mean sparsity?",
        ),
        (
            "compress:\n  small: {method: chain, steps: {method: quantize}}",
            "c.yaml:2: compress.small.steps: expected a list, got a section of keys",
        ),
        (
            "compress:\n  small: {method: chain, steps: [{method: quantize}, {method: prune}]}",
            "c.yaml:2: compress.small: steps.0: quantized weights cannot be worked on; put quantize last",
        ),
        (
            "compress:\n  small: {method: prune, steps: 5, max_minutes: 1}",
            "c.yaml:2: compress.small.steps: max_minutes and steps are given; name one of max_minutes, steps, epochs",
        ),
        (
            "compress:\n  one: {method: fuse, members: [a, b], steps: 3}",
            "c.yaml:2: compress.one: steps: a soup learns nothing; leave it out, or set how: distil",
        ),
        (
            "compress:\n  one: {method: fuse, members: [a]}",
            "c.yaml:2: compress.one: members: name two model folders at least",
        ),
        (
            "compress:\n  best: {method: budget}",
            "c.yaml:2: compress.best: needs a limit: max_size_mb, max_loss_increase_percent, max_ms_per_token",
        ),
        (
            "compress:\n  small: {method: quantize, bits: 3}",
            "c.yaml:2: compress.small.bits: 3 is not one of 8, 4",
        ),
        (
            "compress:\n  small: {method: quantize, bit: 8}",
            "c.yaml:2: compress.small.bit: unknown key; did you mean bits?",
        ),
        (
            "train:\n  max_minutes: 1\n  steps: 5",
            "c.yaml:3: train.steps: max_minutes and steps are given; name one of max_minutes, steps, epochs",
        ),
        ("evaluate: {require: {loss: 2.3}}", "c.yaml:1: evaluate.require.loss: expected text, got 2.3"),
        (
            "evaluate: {require: {loss: small}}",
            "c.yaml:1: evaluate: require.loss: 'small' is not a comparison such as \"<= 2.3\"",
        ),
        (
            "tune: {search: {train.epochs: {low: 2, high: 1}}}",
            "c.yaml:1: tune.search.train.epochs: needs low and high with low < high, or choices",
        ),
        ("a: 1\nseed: 1\na: 2", "c.yaml:3: duplicate key 'a', first given on line 1; keep one"),
        ("seed: -1", "c.yaml:1: seed: expected a whole number >= 0, got -1"),
        (
            "evaluate: {require: {loss: < 1.2.3}}",
            "c.yaml:1: evaluate: require.loss: '< 1.2.3' is not a comparison such as \"<= 2.3\"",
        ),
        (f"text {'long ' * 99}", f"c.yaml:1: a config is a mapping of sections such as `task: language`, not {LONG}"),
        ("- task", "c.yaml:1: a config is a mapping of sections such as `task: language`, not a list"),
    ],
)
def test_a_mistake_is_named_with_line_key_and_remedy(mistakes, text, message):
    assert mistakes(text) == [message]


def test_where_no_task_is_given_the_ones_that_fit_are_named(mistakes):
    [_, hint] = mistakes("prepare: {label: tier}\nmodel: {members: 4}")[-2:]
    assert hint == "c.yaml: no task is given, so this is language; the keys are those of task: table"
    assert len(mistakes("task: language\nprepare: {label: tier}")) == 1


def test_all_mistakes_are_reported_in_one_pass(mistakes):
    text = "modle: {}\ntrain:\n  learning_rate: fast\n  stops: 5\nmodel: {layers: 0}\n"
    text += "evaluate: {require: {a: 1}}"
    assert mistakes(text, "generate.top_p=2") == [
        "c.yaml:1: modle: unknown key; did you mean model?",
        "c.yaml:3: train.learning_rate: expected a number, got text 'fast'",
        "c.yaml:4: train.stops: unknown key; did you mean steps?",
        "c.yaml:5: model.layers: expected a whole number >= 1, got 0",
        "c.yaml:6: evaluate.require.a: expected text, got 1",
        "override generate.top_p=2: generate.top_p: expected a number <= 1.0, got 2",
    ]


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.yaml does not exist; make one with: llmkit init .*nowhere.yaml"):
        config.load(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"seed: 1 # \xff\n")
    with pytest.raises(InputError, match=r"binary.yaml is not UTF-8 text \(byte 10\)"):
        config.load(tmp_path / "binary.yaml")
    with pytest.raises(InputError, match="Is a directory"):
        config.load(tmp_path)


# --- overrides ----------------------------------------------------------------------------------------------


def test_an_override_takes_the_place_of_the_file_and_of_defaults(load):
    loaded = load("train: {learning_rate: 0.5}", "train.learning_rate=1e-4", "model.layers=3", "seed=9")
    assert loaded.settings.train.learning_rate == 0.0001
    assert (loaded.settings.model.layers, loaded.settings.seed) == (3, 9)


def test_an_override_takes_yaml_values(load):
    loaded = load(
        "",
        "prepare.files=[a.txt, 'b.txt']",
        "generate.greedy=true",
        "generate.stop=no",
        "tune.max_minutes=null",
    )
    assert loaded.settings.prepare.files == ["a.txt", "b.txt"]
    assert loaded.settings.generate.greedy is True
    assert loaded.settings.generate.stop == "no"
    assert loaded.settings.tune.max_minutes is None


def test_a_comparison_in_an_override_needs_no_quotes(load):
    assert load("", "evaluate.require.accuracy=>= 0.8").settings.evaluate.require == {"accuracy": ">= 0.8"}


def test_the_value_of_an_override_may_hold_an_equals_sign(load):
    assert load("", "generate.stop==").settings.generate.stop == "="


def test_a_budget_of_an_override_replaces_that_of_a_variant_in_the_file(load):
    loaded = load("compress: {a: {method: prune, max_minutes: 1}}", "compress.a.steps=5")
    assert (loaded.settings.compress["a"].steps, loaded.settings.compress["a"].max_minutes) == (5, None)
    assert load("compress: {a: {method: quantize}}", "compress.a.bits=8").settings.compress["a"].bits == 8


@pytest.mark.parametrize(("override", "budget"), [("steps=5", ("steps", 5)), ("epochs=0.5", ("epochs", 0.5))])
def test_a_budget_of_an_override_replaces_that_of_the_file(load, override, budget):
    loaded = load("train: {max_minutes: 9, batch_size: 4}", f"train.{override}")
    assert loaded.settings.train.budget == budget
    assert loaded.settings.train.max_minutes is None
    assert loaded.settings.train.batch_size == 4


def test_an_override_of_no_budget_leaves_that_of_the_file(load):
    assert load("train: {steps: 7}", "train.max_minutes=null").settings.train.budget == ("steps", 7)


def test_an_override_of_a_whole_section_replaces_it(load):
    loaded = load("train: {max_minutes: 9, batch_size: 4}", "train={steps: 5}")
    assert loaded.settings.train.budget == ("steps", 5)
    assert loaded.settings.train.batch_size == Train().batch_size


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["train.steps"],
            "'train.steps' is not an override; write section.key=value, for example train.steps=100",
        ),
        (["=5"], "'=5' is not an override; write section.key=value, for example train.steps=100"),
        (
            ["train..steps=5"],
            "'train..steps=5' is not an override; write section.key=value, for example train.steps=100",
        ),
        (["train.stps=5"], "override train.stps=5: train.stps: unknown key; did you mean steps?"),
        (["trian.steps=5"], "override trian.steps=5: trian: unknown key; did you mean train?"),
        (
            ["train.steps=soon"],
            "override train.steps=soon: train.steps: expected a whole number or null, got text 'soon'",
        ),
        (
            ["train={batch_size: x}"],
            "override train={batch_size: x}: train.batch_size: expected a whole number, got text 'x'",
        ),
        (["seed.x=1"], "override seed.x=1: seed is not a section"),
        (
            ["task=langage"],
            f"override task=langage: task: 'langage' is not a task; choose from {KNOWN_TASKS}; did you mean language?",
        ),
        (
            ["train.steps=[1"],
            "override train.steps: not valid YAML: expected ',' or ']', but got '<stream end>'",
        ),
        (["train.learning_rate=.inf"], "override train.learning_rate: .inf is not a finite number"),
        (
            ["train.steps=5", "train.epochs=1"],
            "override train.epochs=1: train.epochs: steps and epochs are given; name one of max_minutes, steps, epochs",
        ),
    ],
)
def test_a_wrong_override_is_named(mistakes, overrides, message):
    assert mistakes("train: {max_minutes: 9, batch_size: 4}\nseed: 3", *overrides) == [message]


def test_values_of_options_are_taken_as_they_are(load, mistakes):
    assert load("", values={("generate", "prompt"): ["5: x"]}).settings.generate.prompt == ["5: x"]
    assert mistakes("", values={("generate", "top_k"): -1}) == [
        "option --top-k: generate.top_k: expected a whole number >= 0, got -1"
    ]


def test_the_command_of_a_message_can_be_pasted(load):
    assert load("").command("train") == "llmkit train c.yaml"
    loaded = load("", "prepare.clean=none", "run_dir=some where", values={("seed",): 5})
    assert loaded.command("prepare") == "llmkit prepare c.yaml prepare.clean=none 'run_dir=some where' seed=5"


# --- there and back -----------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "seed": st.integers(0, 2**32 - 1),
            "run_dir": st.text("ab/e1.", min_size=1),
            "train": st.fixed_dictionaries(
                {}, optional={"steps": st.integers(1, 10**9), "learning_rate": st.floats(1e-12, 1e3)}
            ),
            "generate": st.fixed_dictionaries(
                {}, optional={"stop": st.text() | st.lists(st.text()), "top_p": st.floats(0.001, 1)}
            ),
            "compress": st.dictionaries(
                st.text("ab8", min_size=1),
                st.sampled_from(
                    [
                        {"method": "quantize", "bits": 8},
                        {"method": "distil", "model": {"hidden_size": 8}, "steps": 5},
                        {"method": "chain", "steps": [{"method": "prune", "sparsity": 0.5}, {"method": "quantize"}]},
                    ]
                ),
            ),
            "tune": st.just({"search": {"model.layers": {"choices": [1, 2.5, "x", None, True]}}}),
        },
    )
)
def test_settings_survive_to_data_yaml_and_back(data):
    before = config.from_data(data, "x.yaml")
    text = yaml_text.dump(config.to_data(before.settings))
    after = config.from_data(yaml_text.parse(text, "x.yaml")[0], "x.yaml")
    assert after == before
    for name, item in data.items():  # what was given is what is there
        found = config.to_data(after.settings)[name]
        assert (
            found == item
            if not isinstance(item, dict)
            else found.items() >= item.items() or name in ("tune", "compress")
        )


def test_from_data_is_as_strict_as_a_file():
    with pytest.raises(ConfigError, match=r"^x.yaml: train.stps: unknown key; did you mean steps\?$"):
        config.from_data({"train": {"stps": 3}}, "x.yaml")


# --- promises -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CONFIGS + STARTERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_yaml_of_the_project_loads(path):
    loaded = config.load(path)
    assert loaded.settings.prepare.files  # each names its data
    with pytest.raises(ConfigError, match="unknown key; did you mean seed"):
        config.load(path, ["sede=1"])


def test_there_are_configs_to_load_and_a_starter_for_each_task():
    assert CONFIGS
    assert [path.parent.name for path in STARTERS] == sorted(tasks.TASKS)


def sections(kind: typing.Any) -> set[type[Section]]:
    """Every section that a type is or holds: in its fields, in a mapping's values, in a union."""
    if isinstance(kind, type) and issubclass(kind, Section):
        return {kind}.union(*(sections(field.type) for field in msgspec.structs.fields(kind)))
    return set().union(*map(sections, typing.get_args(kind)))


ALL_SECTIONS = sorted(
    set().union(*(sections(config.root_section(task, {})) for task in tasks.TASKS)),
    key=lambda kind: kind.__qualname__,
)


def test_the_search_for_sections_finds_those_inside():
    names = {kind.__name__ for kind in ALL_SECTIONS}
    assert {
        "Config",
        "Prepare",
        "Tokenizer",
        "Split",
        "Train",
        "Tune",
        "Range",
        "Quantize",
        "Evaluate",
    } <= names


@pytest.mark.parametrize("section", ALL_SECTIONS, ids=lambda kind: kind.__qualname__)
def test_every_key_says_what_it_is_for(section):
    found = config.descriptions(section)
    for field in msgspec.structs.fields(section):
        if isinstance(field.type, type) and issubclass(field.type, Section):
            assert field.type.__dict__.get("__doc__"), f"{field.type} has no docstring"
        else:
            assert re.search(r"\w\w", found.get(field.name, "")), f"{section.__name__}.{field.name} has no docstring"
    assert section.__dict__.get("__doc__")
    assert found.keys() <= {field.name for field in msgspec.structs.fields(section)}


class Base(Section):
    """A base."""

    size: int = 1
    """Bytes of it,
    altogether."""


class Inherited(Base):
    """More."""

    bare: int = 2
    said: int = 3
    "Short."


def test_descriptions_are_the_docstrings_below_the_fields():
    assert config.descriptions(Inherited) == {"size": "Bytes of it, altogether.", "said": "Short."}


def test_the_config_reference_names_every_key_and_is_up_to_date():
    text = reference.text()
    for section in ALL_SECTIONS:
        for field in msgspec.structs.fields(section):
            assert f"| `{field.name}` |" in text or f"{field.name}\n" in text
    committed = ROOT / "docs" / "config.md"
    if committed.exists():
        assert committed.read_text(encoding="utf-8") == text, "run: make docs"


def test_reading_a_config_imports_nothing_heavy():
    code = f"import sys; from llmkit.config import schema as config; config.load({str(CONFIGS[0])!r}); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"torch", "onnx", "onnxruntime", "numpy", "optuna", "rich"}.isdisjoint(shown.split())
    assert "msgspec" in shown.split()


@pytest.mark.parametrize("task", sorted(tasks.TASKS))
def test_other_keys_of_a_search_leave_the_tasks_own_search_as_it_is(task, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(f"task: {task}\ntune: {{trials: 2}}\n")
    root = tasks.module(task, "settings").Config
    assert config.load(path).settings.tune.search == root().tune.search != {}
