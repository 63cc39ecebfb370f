"""A whole run: prepare, train, compress, generate, evaluate, and what a program gets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import setup_of
from tasks.translate.conftest import spelt, write_config

import llmkit
from llmkit.errors import ConfigError, InputError
from llmkit.store.files import Files
from llmkit.tasks import experiment as experiments
from llmkit.tasks.translate import decoder, prepare, vocabulary as vocabularies


@pytest.fixture(scope="module")
def model(translate_run: Any) -> Any:
    return llmkit.load(translate_run.model)


def test_words_are_spelt(model: Any) -> None:
    assert model.translate("dcx") == "dee see ex" == spelt("dcx")
    assert model.translate(["x", "ba", ""]) == ["ex", "bee ay", ""]


def test_what_is_found_does_not_depend_on_the_batch(model: Any) -> None:
    words = ["dcx", "a", "xdc", "bb", "cab", "dxa"]
    together = model.candidates(words, n_best=3)
    for word, found in zip(words, together, strict=True):
        [alone] = model.candidates([word], n_best=3)
        assert [one.text for one in alone] == [one.text for one in found]
        np.testing.assert_allclose([one.score for one in alone], [one.score for one in found], atol=1e-5)


def test_scores_are_those_of_torch(model: Any, translate_run: Any) -> None:
    """Of the validation split, and of each candidate by itself."""
    import torch

    from llmkit.tasks.translate import graph
    from llmkit.tasks.translate.train import build

    vocabulary = model.vocabulary
    network = build(model.folder.settings.model, vocabulary.size).eval()
    graph.from_arrays(network, model.folder.weights())
    for found in model.candidates(["abx"], n_best=4)[0]:
        source = [*vocabulary.of_source("abx").tolist(), 0]
        target = vocabulary.of_target(found.text).tolist()
        with torch.no_grad():
            logits = network(torch.tensor([source]), torch.tensor([len(source)]), torch.tensor([[0, *target]]))
        log = logits[0].log_softmax(dim=-1)
        expected = sum(float(log[place, token]) for place, token in enumerate([*target, 0]))
        assert found.log_probability == pytest.approx(expected, abs=1e-4)
        assert found.score == pytest.approx(expected / ((5 + len(target) + 1) / 6), abs=1e-4)
    result = json.loads((translate_run.model / "manifest.json").read_text())["result"]
    prepared = Files(translate_run.run_dir / "prepared")
    sources, targets = prepare.read(prepared)
    val = np.flatnonzero(prepared.array("split.npy") == 1)
    scored = model.score(sources.take(val), targets.take(val))
    assert scored["loss"] == pytest.approx(result["val_loss"], abs=1e-5)
    assert scored["token_accuracy"] > 0.9


def test_sources_that_the_model_cannot_know_are_refused(model: Any) -> None:
    with pytest.raises(InputError, match="a source has tokens that the model does not know"):
        decoder.Decoder(model.parts, [np.array([model.vocabulary.size])])


def test_memory_is_bounded(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the state of all partial translations: what a folder's own config asks for may be anything."""
    monkeypatch.setattr("llmkit.store.memory.most_bytes", lambda: 10_000)
    with pytest.raises(InputError, match=r"takes too much memory; lower generate\.max_length or generate\.beam"):
        model.translate("dcx", beam=64, n_best=1)


def test_options_of_translate(model: Any) -> None:
    assert model.translate("dcx", greedy=True) == "dee see ex"
    [found] = model.candidates(["dcx"], max_length=2)
    assert found[0].finish_reason == "length" and found[0].text == "dee see"
    with pytest.raises(ConfigError, match="n_best 5 is more than beam 4"):
        model.translate("a", n_best=5)
    with pytest.raises(InputError, match="text 2: a text is needed, not int"):
        model.translate(["a", 3])


def test_evaluate(llmkit: Any, translate_run: Any, tmp_path: Path) -> None:
    ran = llmkit("evaluate", translate_run.config, "--model", "model", "--model", "int8", "--json")
    assert ran.code == 0, ran.error
    plain, int8 = json.loads(ran.out)["models"]
    assert plain["exact"] > plain["baselines"]["memory"]["exact"] and plain["exact"] > 0.5
    assert int8["size_bytes"] < plain["size_bytes"] and int8["loss"] == pytest.approx(plain["loss"], abs=0.1)
    assert {"loss", "token_accuracy", "sentences_per_second", "cut_off"} <= set(plain)
    other = tmp_path / "other.csv"
    other.write_text("word,spelling\nab,ay bee\nab,ay b\nxx,ex ex\n,nothing\n")
    ran = llmkit("evaluate", translate_run.model, "--on", other, "evaluate.metric=wer", "--json")
    found = json.loads(ran.out)
    assert (found["word_error_rate"], found["phoneme_error_rate"], found["exact"]) == (0.0, 0.0, 1.0)
    assert (found["pairs"], found["translations"]) == (3, 2) and "1 pairs have no source or no target" in ran.err


def test_generate(llmkit: Any, translate_run: Any, tmp_path: Path) -> None:
    ran = llmkit("generate", translate_run.config, "--prompt", "ab", "--prompt", "")
    assert (ran.code, ran.out) == (0, "ay bee\n\n") and "1 of 2 sources are empty" in ran.err
    file = tmp_path / "words.csv"
    file.write_text("word\nxa\ncd\n")
    ran = llmkit("generate", translate_run.model, "--prompt-file", file, "--n-best", "2", "--json")
    found = json.loads(ran.out)
    assert [item["translation"] for item in found["translations"]] == ["ex ay", "see dee"]
    assert all(item["candidates"][0]["score"] >= item["candidates"][1]["score"] for item in found["translations"])
    ran = llmkit("generate", translate_run.model, "--prompt", "aπ")
    assert "1 of 2 tokens of the sources are outside the vocabulary" in ran.err
    ran = llmkit("generate", translate_run.model, "--prompt", "a" * 200)
    assert ran.code == 0 and "more than the 128 tokens that training pairs had" in ran.err
    file.write_text("word\nx\n" + "a" * 5000 + "\n")
    ran = llmkit("generate", translate_run.model, "--prompt-file", file)
    assert ran.code == 3 and "source 2 has 5,000 tokens, 4,096 are the most; cut it into sentences" in ran.error
    file.write_text("text\nx\n")
    ran = llmkit("generate", translate_run.model, "--prompt-file", file)
    assert ran.code == 3 and "there is no column 'word', which the model reads" in ran.err
    ran = llmkit("generate", translate_run.model)
    assert ran.code == 2 and "there is nothing to translate" in ran.err


def test_a_training_goes_on_where_it_was_interrupted(translate_fresh: Any, tmp_path: Path) -> None:
    """Four steps are four steps, with a stop after two or without: the same bits."""
    from llmkit.fitting import setup as setups
    from llmkit.stages.prepare import prepare as prepare_stage

    prepare_stage(experiments.load(translate_fresh.config))
    setup = setup_of(translate_fresh, "model.dropout=0.1")

    def steps(learner: Any, count: int) -> None:
        for _ in range(count):
            learner.step(0.01, 0.5)

    import torch

    whole = setups.learner(setup)
    steps(whole, 2)
    weights = {name: tensor.clone() for name, tensor in whole.weights().items()}
    tensors, plain = whole.state()
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    random = torch.get_rng_state()
    steps(whole, 3)
    again = setups.learner(setup)
    again.load_weights(weights)
    again.load_state(kept, plain)
    torch.set_rng_state(random)
    steps(again, 3)
    for name, tensor in whole.weights().items():
        assert torch.equal(tensor, again.weights()[name]), name
    assert whole.count == again.count and whole.epochs == again.epochs


def test_weights_of_another_vocabulary_are_refused(llmkit: Any, translate_run: Any, translate_fresh: Any) -> None:
    assert llmkit("prepare", translate_fresh.config, "prepare.tokenizer={kind: byte}").code == 0
    ran = llmkit(
        "train", translate_fresh.config, "prepare.tokenizer={kind: byte}", f"train.start_from={translate_run.model}"
    )
    assert ran.code == 3 and "has another vocabulary than the prepared data" in ran.err


def test_training_begins_with_the_weights_of_a_model(llmkit: Any, translate_run: Any, tmp_path: Path) -> None:
    config = tmp_path / "again.yaml"
    write_config(config, translate_run.pairs, tmp_path / "run", steps=1)
    assert llmkit("prepare", config).code == 0
    ran = llmkit("train", config, f"train.start_from={translate_run.model}", "train.learning_rate=1e-9", "--json")
    before = json.loads((translate_run.model / "manifest.json").read_text())["result"]["val_loss"]
    assert json.loads(ran.out)["val_loss"] == pytest.approx(before, abs=1e-3)
    assert vocabularies.alike(Files(translate_run.model), Files(tmp_path / "run" / "prepared"))
