"""Compression of a forecaster: variants against their torch network, zeros, stretches, teachers."""

import shutil

import numpy as np
import pytest
import torch
from small_learners import CPU, network_logits
from small_runs import job_of

from llmkit.errors import InputError
from llmkit.predicting.forecast_metrics import LEVELS, MEDIAN
from llmkit.store.files import Files
from llmkit.tasks import experiment as experiments
from llmkit.tasks.series import compress, evaluate, forecasting, use
from llmkit.tasks.series.settings import Config, Model
from llmkit.tasks.series.train import learner

VARIANTS = """\
compress:
  sparse:  {method: prune, sparsity: 0.6, steps: 10}
  student: {method: distil, model: {hidden_size: 8, members: 2, context: 24}, steps: 10}
  small:   {method: chain, steps: [{method: prune, sparsity: 0.6, steps: 10}, {method: quantize}]}
  best:    {method: budget, max_size_mb: 1, max_ms_per_forecast: 1000, max_minutes: 0.05}
"""


@pytest.fixture(scope="module")
def variants(series_run, tmp_path_factory):
    """A run directory with all of them, and the metrics of `llmkit compress`."""
    from llmkit.stages.compress import compress as stage

    run_dir = tmp_path_factory.mktemp("variants") / "run"
    shutil.copytree(series_run.run_dir, run_dir)
    file = run_dir.parent / "series.yaml"
    file.write_text(series_run.config.read_text().replace(str(series_run.run_dir), str(run_dir)) + VARIANTS)
    return run_dir, {row["name"]: row for row in stage(experiments.load(file))["models"]}


def test_every_method_gives_a_smaller_or_as_good_a_model(variants):
    run_dir, rows = variants
    assert set(rows) >= {"sparse", "student", "small", "best"}
    assert all(np.isfinite(row["val_loss"]) and row["ms_per_forecast"] > 0 for row in rows.values())
    assert rows["small"]["size_bytes"] < rows["sparse"]["size_bytes"]
    weights = experiments.read_model(run_dir / "compressed" / "sparse").weights()
    matrices = [weights["linear"], *(array for name, array in weights.items() if name.startswith("matrices"))]
    assert sum((matrix == 0).sum() for matrix in matrices) >= 0.6 * sum(matrix.size for matrix in matrices)


@pytest.mark.parametrize("name", ["sparse", "student"])
def test_the_graph_of_a_variant_gives_what_its_network_gives(variants, name):
    run_dir, _ = variants
    folder = experiments.read_model(run_dir / "compressed" / name)
    prepared, model = Files(run_dir / "prepared"), use.load(folder)
    made = learner(prepared, folder.settings, CPU, pytest.fail)
    compress.load(made, folder.weights())
    examples = evaluate.validation(folder, prepared)
    found = model.outputs(examples.examples.windows(examples.origins))
    np.testing.assert_allclose(found, network_logits(made), rtol=1e-4, atol=1e-4)


def test_stretches_are_fitted_anew(series_run, tmp_path):
    """After the quantiles were made ten times too narrow, 95 % of the validation values lie within them again."""
    place = tmp_path / "model"
    shutil.copytree(series_run.model, place)
    folder = experiments.read_model(place)
    about = forecasting.read(folder)
    compress.refit(folder, Files(series_run.run_dir / "prepared"))
    again = forecasting.read(folder)
    assert again.stretch == pytest.approx(about.stretch, rel=1e-4)
    examples = evaluate.validation(folder, Files(series_run.run_dir / "prepared"))
    found = use.load(folder).answers(examples.examples.windows(examples.origins))
    truth = examples.truth().values
    inside = (found[..., 0] <= truth) & (truth <= found[..., -1])
    assert inside.mean() >= LEVELS[-1] - LEVELS[0] - 0.02
    assert again.stretch[MEDIAN] == 1


def test_a_student_learns_from_its_teacher_alone_at_the_peak(series_run, tmp_path):
    job = job_of(series_run, tmp_path / "work")
    made = learner(job.prepared, job.folder.settings, CPU, pytest.fail)
    compress.load(made, job.folder.weights())
    same = compress.taught(made, [(job.folder.settings, job.folder.weights())], 1.0, 1.0, lambda *_: None)
    made.network.eval()
    which = made.examples.train[:8]
    with torch.no_grad():
        outputs = made.network(*made.examples.inputs(which))
    assert float(same.objective.loss(outputs, which, which, 1, 1.0)) == pytest.approx(0, abs=1e-6)
    assert float(same.objective.loss(outputs + 1, which, which, 1, 1.0)) > 0.1


def test_a_teacher_that_sees_another_past_is_refused(series_run, tmp_path):
    job = job_of(series_run, tmp_path / "work")
    made = learner(
        job.prepared,
        Config(prepare=job.folder.settings.prepare, model=Model(context=36, hidden_size=4)),
        CPU,
        pytest.fail,
    )
    with pytest.raises(InputError, match="sees 24 steps of the past, and its student 36"):
        compress.taught(made, [(job.folder.settings, job.folder.weights())], 1.0, 1.0, lambda *_: None)


def test_half_and_less_dropout():
    settings = Config(model=Model(hidden_size=9, dropout=0.4))
    assert compress.half(settings).model.hidden_size == 5
    assert compress.with_less_dropout(settings, 0.25).model.dropout == pytest.approx(0.2)
