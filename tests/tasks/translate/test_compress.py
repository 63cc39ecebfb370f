"""The methods of compression on a translation model, and the student for whoever names none."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from small_runs import setup_of

import llmkit
from llmkit.fitting import setup as setups
from llmkit.store.files import Files
from llmkit.tasks.translate import compress, prepare
from llmkit.tasks.translate.settings import Config, Model


def test_every_variant_runs(translate_run: Any) -> None:
    sizes = {}
    for name in ("int8", "sparse", "student", "chained"):
        model = llmkit.load(translate_run.run_dir / "compressed" / name)
        sizes[name] = model.folder.size_bytes
        assert isinstance(model.translate("abc"), str)
    whole = llmkit.load(translate_run.model).folder.size_bytes
    assert sizes["chained"] < sizes["student"] < whole and sizes["int8"] < whole
    record = json.loads((translate_run.run_dir / "compressed" / "sparse" / "manifest.json").read_text())["result"]
    assert record["method"] == "prune" and record["zeros"] > 8000


def test_int8_weights_of_both_parts_are_integers(translate_run: Any) -> None:
    arrays = llmkit.load(translate_run.int8).folder.weights()
    for name in ("encoder.0.own_in.weight", "decoder.0.source_query.weight"):
        assert arrays[name].dtype == np.int8


def test_half_of_a_network() -> None:
    def sizes(**model: Any) -> tuple[int, int | None]:
        found = compress.half(Config(model=Model(**model))).model
        return found.hidden_size, found.feedforward_size

    assert sizes(hidden_size=256) == (128, None)
    assert sizes(hidden_size=36, heads=6, feedforward_size=7) == (18, 4)
    assert sizes(hidden_size=18, heads=3) == (12, None)  # even, and a multiple of the heads
    assert compress.with_less_dropout(Config(model=Model(dropout=0.2)), 0.25).model.dropout == pytest.approx(0.1)


def test_a_teacher_that_is_the_student_itself_adds_no_loss(translate_run: Any) -> None:
    """Its loss at a mix of 1 is the distance to its own probabilities, which is 0."""
    setup = setup_of(translate_run)
    learner = setups.learner(setup)
    weights = llmkit.load(translate_run.model).folder.weights()
    compress.load(learner, weights)
    taught = compress.taught(learner, [(setup.settings, weights)], 1.0, 1.0, lambda *given: None)
    assert float(taught.step(setup.settings.train.learning_rate, 0.0)) == pytest.approx(0, abs=1e-5)


def test_a_smaller_student_reads_its_teachers_translations(translate_run: Any) -> None:
    """Of training sources; each is read as the data says in one pass and as the teacher says in the next."""
    setup = setup_of(translate_run)
    half = compress.half(setup.settings)
    learner = setups.learner(dataclasses.replace(setup, settings=half))
    teacher = llmkit.load(translate_run.model)
    data = learner.targets
    taught = compress.taught(learner, [(setup.settings, teacher.folder.weights())], 1.0, 0.5, lambda *given: None)
    assert taught.translated and len(taught.targets) == 2 * len(data)
    texts = prepare.texts(Files(translate_run.run_dir / "prepared"))
    for pair in taught.batches.pairs[:20].tolist():
        ids = taught.targets.take(np.array([len(data) + pair])).numbers
        assert teacher.vocabulary.text(ids.tolist()) == teacher.translate(texts[pair][0], beam=2)
    assert np.isfinite(float(taught.step(0.001, 0.0)))
    same = setups.learner(setup)
    assert not compress.taught(same, [(setup.settings, teacher.folder.weights())], 1.0, 0.5, print).translated
