"""model.py: a model on its way between two methods, written where it is measured; models that do not fit the job."""

import math
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest

from llmkit.compression import model as models
from llmkit.compression.model import Model, increase_percent
from llmkit.config.root import Root
from llmkit.errors import InputError
from llmkit.store import artifacts
from llmkit.tasks import experiment as experiments


def model_of(**weights) -> Model:
    return Model(onnx.ModelProto(), weights, Root(task="toy"), 1)


def test_the_digest_is_of_names_kinds_shapes_and_numbers_in_any_order():
    zero, one = np.zeros((2, 1), np.float32), np.ones(2, np.float32)
    digest = model_of(a=zero, b=one).digest
    assert model_of(b=one, a=np.asfortranarray(zero)).digest == digest
    others = [
        model_of(a=zero, c=one),
        model_of(a=zero, b=one.astype(np.float16)),
        model_of(a=zero.T, b=one),
        model_of(a=zero, b=np.array([1, 2], np.float32)),
        model_of(a=zero),
    ]
    assert len({digest, *(other.digest for other in others)}) == 6


def test_methods_that_learn_need_float_weights():
    model_of(a=np.zeros(2, np.float32)).require_trainable("prune")
    quantized = model_of(a=np.zeros(2, np.float32), b=np.zeros(2, np.int8))
    assert not quantized.trainable
    with pytest.raises(InputError, match="^prune works on float weights, and these are quantized; .* put prune before"):
        quantized.require_trainable("prune")


def test_the_original_is_read_as_it_was_trained(job):
    original = job.original
    assert original is job.original and original.trainable and original.done == ()
    assert original.parameters == job.folder.result["parameters"]
    assert original.weights.keys() == job.folder.weights().keys()
    written, taken = job.folder.settings.model, original.settings.model
    assert written.recurrent_dropout is None
    assert taken.recurrent_dropout == job.folder.result["recurrent_dropout"] >= 0  # as it was chosen in training
    assert (taken.hidden_size, original.settings.train) == (written.hidden_size, job.folder.settings.train)
    assert not [tensor.name for tensor in original.graph.graph.initializer if tensor.name in original.weights]


def test_a_written_model_can_be_used_at_once_and_is_gone_afterwards(job):
    halved = replace(job.original, weights={name: array / 2 for name, array in job.original.weights.items()})
    seen = []

    def use(folder):
        seen.append(folder.path)
        names = ("graph.onnx", "model.safetensors", "config.yaml", "tokenizer.json")
        assert folder.roles == dict.fromkeys(names, "run")
        assert folder.size_bytes == sum(path.stat().st_size for path in folder.path.iterdir())
        assert folder.read_bytes("tokenizer.json") == job.folder.read_bytes("tokenizer.json")
        return {name: array.tolist() for name, array in folder.weights().items()}

    assert models.written(halved, job, use) == {name: array.tolist() for name, array in halved.weights.items()}
    assert seen[0].parent == job.work and not seen[0].exists()


def test_size_loss_and_speed_of_a_model(job):
    whole, speeds = models.measure(job.folder, job)
    assert whole["size_bytes"] == job.folder.size_bytes
    assert whole["val_loss"] == pytest.approx(job.folder.result["val_loss"], rel=1e-4)
    assert whole["val_loss"] == models.validation_loss(job.original, job)
    assert {"load_ms", "ms_per_token", "tokens_per_second"} <= speeds.keys() and min(speeds.values()) > 0


def test_another_model_has_to_be_of_this_task_trainable_and_of_this_data(job, tiny_run, tmp_path):
    assert models.read_other(str(tiny_run.model), job).path == tiny_run.model
    with pytest.raises(InputError, match="int8 has no float weights; name a trained model folder$"):
        models.read_other(str(tiny_run.int8), job)
    with pytest.raises(InputError, match="nowhere is missing"):
        models.read_other(str(tmp_path / "nowhere"), job)
    remade = tmp_path / "other"
    with artifacts.building(remade) as folder:
        old = experiments.read_model(tiny_run.model)
        for name in old.roles:
            shutil.copy(old.path / name, folder.path / name)
        kept = {key: old.artifact.manifest[key] for key in ("stage", "settings", "result", "task")}
        folder.finish(**kept, parents={"prepared": "0" * 64}, roles=old.roles)
    with pytest.raises(InputError, match=f"^{remade} was trained on other data than {tiny_run.run_dir}/prepared holds"):
        models.read_other(str(remade), job)


@pytest.mark.parametrize(
    ("loss", "first", "expected"),
    [
        (2.06, 2.0, 3.0),
        (1.0, 2.0, -50.0),
        (2.0, 2.0, 0.0),
        (-1.0, -2.0, 50.0),  # higher, so worse: a likelihood of a density may be above 1
        (-3.0, -2.0, -50.0),
        (1.0, -2.0, 150.0),
        (0.0, 0.0, 0.0),
        (0.1, 0.0, math.inf),
    ],
)
def test_the_increase_in_percent_of_the_first_loss(loss, first, expected):
    assert increase_percent(loss, first) == pytest.approx(expected)
