"""schema.py: what a config may say, there and back, and promises about every key and every YAML of the project."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

import llmkit
from llmkit.config import schema, yaml_text
from llmkit.errors import ConfigError
from llmkit.tasks import TASKS, experiment as experiments

ROOT = Path(llmkit.__file__).parents[1]
CONFIGS = sorted(ROOT.glob("configs/*.yaml"))
STARTERS = sorted(Path(llmkit.__file__).parent.glob("tasks/*/starter.yaml"))


def test_an_empty_file_is_a_config_of_defaults(load):
    loaded = load("")
    assert loaded.task.name == "language"
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
    before = experiments.from_data(data, "x.yaml")
    text = yaml_text.dump(schema.to_data(before.settings))
    after = experiments.from_data(yaml_text.parse(text, "x.yaml")[0], "x.yaml")
    assert after == before
    for name, item in data.items():  # what was given is what is there
        found = schema.to_data(after.settings)[name]
        assert (
            found == item
            if not isinstance(item, dict)
            else found.items() >= item.items() or name in ("tune", "compress")
        )


@pytest.mark.parametrize("path", CONFIGS + STARTERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_yaml_of_the_project_loads(path):
    loaded = experiments.load(path)
    assert loaded.settings.prepare.files  # each names its data
    with pytest.raises(ConfigError, match="unknown key; did you mean seed"):
        experiments.load(path, ["sede=1"])


def test_there_are_configs_to_load_and_a_starter_for_each_task():
    assert CONFIGS
    assert [path.parent.name for path in STARTERS] == sorted(TASKS)


def test_reading_a_config_imports_nothing_heavy():
    code = f"import sys; from llmkit.tasks import experiment; experiment.load({str(CONFIGS[0])!r}); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"torch", "onnx", "onnxruntime", "numpy", "optuna", "rich"}.isdisjoint(shown.split())
    assert "msgspec" in shown.split()


@pytest.mark.parametrize("task", sorted(TASKS))
def test_other_keys_of_a_search_leave_the_tasks_own_search_as_it_is(task, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(f"task: {task}\ntune: {{trials: 2}}\n")
    root = TASKS[task].settings.Config
    assert experiments.load(path).settings.tune.search == root().tune.search != {}
