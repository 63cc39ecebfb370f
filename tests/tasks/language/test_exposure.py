"""Exposure: by rank and by a skew-normal distribution, by hand and against samples; of models on the command line."""

import json
import math

import numpy as np
import pytest

import llmkit as package
from llmkit.runtime.session import log_softmax
from llmkit.store.files import Files
from llmkit.tasks.language import canaries, ngram
from llmkit.tasks.language.exposure import ALL, BOUND, by_rank, extrapolated, ngram_losses, tokens


def test_exposure_by_rank_by_hand():
    """Of seven references: less than all, between the second and the third, more than all, the same as two of them."""
    references = np.array([5.0, 1.0, 2.0, 3.0, 4.0, 6.0, 6.0])
    found = by_rank(np.array([0.5, 2.5, 9.0, 6.0]), references)
    assert found.tolist() == pytest.approx([3.0, 3 - math.log2(3), 0.0, 3 - math.log2(7)])
    assert BOUND == 13.0


def test_a_secret_that_was_never_seen_has_log2_of_e_bits_on_average():
    rng = np.random.default_rng(0)
    assert by_rank(rng.normal(size=4000), rng.normal(size=8191)).mean() == pytest.approx(math.log2(math.e), abs=0.1)


def test_extrapolation_of_a_normal_distribution_is_that_of_its_table():
    """Phi(-2) = 0.02275, Phi(-5) = 2.8665e-7; the references have mean 10, deviation 2 and no skewness."""
    references = np.concatenate([10 + (x := 2 * np.random.default_rng(0).normal(size=5000)), 10 - x])
    scale = references.std()
    found = extrapolated(10 - scale * np.array([0.0, 2.0, 5.0, 20.0]), references)
    assert found.tolist() == pytest.approx([1.0, -math.log2(0.02275), -math.log2(2.8665e-7), ALL], abs=2e-3)


@pytest.mark.parametrize("delta", [-0.9, 0.9])
def test_extrapolation_of_a_skewed_distribution_is_what_samples_say(delta):
    """Azzalini's own construction: delta |U| + sqrt(1 - delta^2) V of two normal numbers."""
    u, v = np.random.default_rng(0).normal(size=(2, 400_000))
    sample = delta * np.abs(u) + math.sqrt(1 - delta**2) * v
    places = np.quantile(sample, [0.5, 0.01, 0.001])
    assert extrapolated(places, sample).tolist() == pytest.approx(-np.log2([0.5, 0.01, 0.001]), abs=0.2)


def test_references_that_are_all_alike_are_ranked():
    assert extrapolated(np.array([2.0]), np.full(7, 2.0)).tolist() == [3 - math.log2(4.5)]


def test_an_ngram_model_gives_each_sequence_the_loss_of_its_own_tokens():
    train = np.random.default_rng(0).integers(0, 4, 2000)
    model = ngram.NGram(ngram.pack(ngram.choose(train, train, 4, 4)[0][0]))
    context, ends = np.array([0, 1, 2]), np.array([[3, 1, 0], [2, -1, -1]])
    expected = [-model.score(np.array([0, 1, 2, 3, 1, 0]))[2:].sum(), -model.score(np.array([0, 1, 2, 2]))[2:].sum()]
    assert ngram_losses(model, context, ends).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A run with canaries, of an LSTM that has seen nothing yet, mixed with an n-gram model that has seen all."""
    from conftest import TinyRun, tiny_text
    from small_runs import finish

    folder = tmp_path_factory.mktemp("planted")
    run = TinyRun(folder / "tiny.yaml", folder / "run", folder / "text.txt")
    run.text.write_text(tiny_text(20_000), encoding="utf-8")
    run.config.write_text(
        f"""\
run_dir: {run.run_dir}
prepare: {{files: {run.text}, split: {{val: 0.1, test: 0.1}}, canaries: {{count: 3, repeats: [1, 30]}}}}
model: {{embedding_size: 8, hidden_size: 16, dropout: 0.0}}
train: {{steps: 5, batch_size: 4, sequence_length: 16, learning_rate: 0.01, number_type: float32, ngram: true}}
compress: {{int8: {{method: quantize, bits: 8}}}}
"""
    )
    finish(run)
    return run


def test_exposure_rises_with_repetition_for_each_model_and_no_secret_is_told(llmkit, planted):
    ran = llmkit("evaluate", planted.config, "--model", "model", "--model", "int8", "--json")
    for row in ran.json["models"]:
        rows = row["canaries"]
        assert list(rows) == ["0", "1", "30"]
        assert [rows[key]["copies"] for key in rows] == [0, 1, 30]
        assert {rows[key]["secrets"] for key in rows} == {3}
        assert rows["30"]["exposure"] > 10 > 4 > rows["0"]["exposure"]
        assert rows["30"]["ngram_exposure"] > 10 > 4 > rows["0"]["ngram_exposure"]
        assert rows["30"]["lstm_exposure"] < 4  # five steps
        assert rows["30"]["loss"] < rows["0"]["loss"]
        assert rows["30"]["exposure"] <= rows["30"]["highest"] <= row["exposure_bound"] == 13
        assert row["exposure"] == rows["30"]["exposure"]
        assert row["exposure_unplanted"] == rows["0"]["exposure"]
    record = canaries.load(Files(planted.run_dir / "prepared"))
    written = [path.read_text() for path in (planted.run_dir / "evaluated").rglob("*.json")]
    shown = llmkit("evaluate", planted.config, "--model", "model", "--force")
    for canary in record.canaries:
        assert all(canary.secret not in text for text in (ran.out, ran.err, shown.out, shown.err, *written))
    assert "exposure" in shown.out
    assert any("exposure" in text for text in written)


def test_a_requirement_on_exposure_that_is_not_met_ends_with_4(llmkit, planted):
    ran = llmkit("evaluate", planted.config, 'evaluate.require={exposure: "<= 5"}', "--json")
    assert ran.code == 4
    assert "exposure is" in ran.json["error"]["message"]
    assert llmkit("evaluate", planted.config, 'evaluate.require={lstm_exposure: "<= 5"}').code == 0


def test_an_ngram_model_without_rare_counts_gives_away_less(llmkit, planted, tmp_path):
    config = tmp_path / "tiny.yaml"
    config.write_text(planted.config.read_text().replace(str(planted.run_dir), str(tmp_path / "run")))
    counts = ("train.ngram_least_count=31",)
    for stage in ("prepare", "train"):
        assert llmkit(stage, config, *counts).code == 0
    found = llmkit("evaluate", config, *counts, "--json").json
    whole = llmkit("evaluate", planted.model, "--json").json
    assert found["ngram_exposure"] < 10 < 12 < whole["ngram_exposure"]  # pairs of digits are left, not secrets
    assert found["exposure"] < 10
    assert found["ngram_loss"] >= whole["ngram_loss"]


def test_sequences_after_a_context_have_the_losses_that_torchless_scoring_gives(planted):
    """Against `surprises`, which reads each text alone, token by token."""
    model = package.load(planted.model)
    secrets = ["123456789", "987654321", "000000000"]
    context, ends = tokens(model.encoder, "The secret number is", secrets)
    assert ends.shape == (3, 10)  # characters, and the space before them
    ends[2, 4:] = -1
    expected = []
    for end in ends:
        found = model.surprises(np.concatenate([context, end[end >= 0]]))
        expected.append(sum(part["bits"] for part in found["parts"][len(context) - 1 :]) * math.log(2))
    assert model.losses_after(context, ends).tolist() == pytest.approx(expected, rel=1e-4)
    alone = model.losses_after(context, ends[:, :1], alone=True)
    logits, _ = model._read(context)
    assert alone.tolist() == pytest.approx(-log_softmax(logits)[0, ends[:, 0]], rel=1e-4)


def test_a_vocabulary_without_the_digits_draws_a_warning(planted, llmkit, tmp_path):
    config = tmp_path / "words.yaml"
    config.write_text(
        planted.config.read_text().replace(str(planted.run_dir), str(tmp_path / "run")) + "evaluate: {split: val}\n"
    )
    words = ("prepare.tokenizer={kind: word, vocab_size: 10}", "train.ngram=false")
    for stage in ("prepare", "train"):
        assert llmkit(stage, config, *words).code == 0
    ran = llmkit("evaluate", config, *words, "--json")
    assert "exposure says little" in ran.err
    assert ran.json["exposure"] == pytest.approx(1.0, abs=0.01)  # all alike: half are taken to have less


def test_without_canaries_nothing_is_said_of_them(tiny_run, llmkit):
    manifest = json.loads((tiny_run.run_dir / "prepared" / "manifest.json").read_text())
    assert "canaries" not in manifest["settings"]["prepare"] | manifest["result"] | manifest["files"]
    found = llmkit("evaluate", tiny_run.model, "--json").json
    assert not [key for key in found if "exposure" in key or "canaries" in key]
