"""Writing and scoring with a model folder: stop strings, streams, batches, scores against a plain computation."""

import math

import numpy as np
import pytest
import torch

import llmkit
from llmkit.data import tokenizer as tokenizers
from llmkit.errors import ConfigError
from llmkit.store import artifacts, model_folder
from llmkit.store.model_folder import ModelFile
from llmkit.tasks.language import graph, use
from llmkit.tasks.language.network import LanguageModel
from llmkit.tasks.language.settings import Config

LETTERS = "abcdefgh \n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model folder with random weights, large enough that what it writes varies."""
    place = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    network = LanguageModel(len(LETTERS) + 2, 16, 32, 2).eval()
    with torch.no_grad():
        network.output.mul_(20)
    exported, weights = graph.export(network)
    tokenizers.save(tokenizers.train("char", 0, [LETTERS]), place / "tokenizer.json")
    with artifacts.building(place / "model") as building:
        files = {"tokenizer.json": ModelFile((place / "tokenizer.json").read_bytes())}
        roles = model_folder.write(building.path, exported, weights, Config(), files)
        result = {"parameters": 1, "trainable": True}
        building.finish(stage="train", task="language", settings={}, seed=0, result=result, roles=roles)
    return place / "model", network


@pytest.fixture(scope="module")
def model(folder):
    return llmkit.load(folder[0])


def test_same_seed_same_text_and_another_seed_another(model):
    options = {"max_tokens": 60, "stop_at_document_end": False}
    first = model.generate("abc", seed=3, **options)
    assert first == model.generate("abc", seed=3, **options)
    assert first != model.generate("abc", seed=4, **options)


def test_stream_gives_the_text_of_generate_in_pieces(model):
    pieces = list(model.stream("abc", seed=3, max_tokens=60, stop_at_document_end=False))
    assert len(pieces) == 60
    assert "".join(pieces) == model.generate("abc", seed=3, max_tokens=60, stop_at_document_end=False)


def test_samples_of_a_batch_are_the_texts_of_their_own_streams(model):
    texts = model.generate(["abc", "d"], samples=2, seed=5, max_tokens=40, stop_at_document_end=False)
    assert len(texts) == 4
    assert len(set(texts)) == 4
    assert texts[0] == model.generate("abc", seed=5, max_tokens=40, stop_at_document_end=False)


def test_generation_continues_the_prompt_as_torch_would(folder, model):
    """Greedy text against stepping the torch network over everything again for each token."""
    network, encoder = folder[1], model.encoder
    ids = [encoder.boundary_id, *encoder.encode("abc").tolist()]
    for _ in range(25):
        with torch.no_grad():
            logits, _ = network(torch.tensor(ids)[:, None], network.initial_state(1))
        logits = logits[-1, 0]
        logits[[encoder.boundary_id, encoder.unknown_id]] = -math.inf
        ids.append(int(logits.argmax()))
    expected = tokenizers.decode(model.table, ids[4:])
    assert model.generate("abc", greedy=True, max_tokens=25, stop_at_document_end=False) == expected


@pytest.mark.parametrize("width", [1, 2, 3])
def test_stop_strings_end_the_text_and_are_not_written(model, width):
    whole = model.generate("a", seed=1, max_tokens=80, stop_at_document_end=False)
    stop = whole[30 : 30 + width]
    end = whole.find(stop)
    [text] = model.write(["a"], use.settings({"max_tokens": 80, "stop": stop, "stop_at_document_end": False}), 1)
    assert text.text == whole[:end]
    assert text.finish_reason == "stop"
    pieces = model.stream("a", seed=1, max_tokens=80, stop=[stop, "not there"], stop_at_document_end=False)
    assert "".join(pieces) == whole[:end]


def test_a_stop_string_that_never_comes_holds_nothing_back(model):
    whole = model.generate("a", seed=1, max_tokens=40)
    assert model.generate("a", seed=1, max_tokens=40, stop=whole[-3:] + "x") == whole


def test_empty_and_unknown_prompts_work_and_unknown_characters_are_named(model):
    warnings = []
    assert model.generate("", seed=1, max_tokens=5)
    assert len(model.generate("aéz", seed=1, max_tokens=5, warn=warnings.append)) > 0
    assert "'é' (U+00E9)" in warnings[0]
    assert "'z'" in warnings[0]


def test_a_wrong_option_is_named(model):
    with pytest.raises(ConfigError, match=r"unknown key; did you mean temperature\?"):
        model.generate("a", temprature=1.0)


def test_scores_equal_a_plain_computation(folder, model):
    network, text = folder[1], "abc had a bad cab\n" * 30
    ids = torch.tensor([model.encoder.boundary_id, *model.encoder.encode(text).tolist()])
    with torch.no_grad():
        logits, _ = network(ids[:-1, None], network.initial_state(1))
    logits = logits[:, 0]
    loss = torch.nn.functional.cross_entropy(logits, ids[1:]).item()
    found = model.score(text)
    assert found["tokens"] == len(text)
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    assert found["bits_per_byte"] == pytest.approx(loss / math.log(2), rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)
    ranks = (logits > logits.gather(1, ids[1:, None])).sum(1)
    assert found["accuracy"] == pytest.approx((ranks == 0).float().mean().item())
    assert found["top5_accuracy"] == pytest.approx((ranks < 5).float().mean().item())


def test_parallel_scoring_equals_one_stream(folder, model):
    """16 streams with a warm-up give the loss of one stream carried through."""
    network = folder[1]
    ids = np.random.default_rng(0).integers(2, len(LETTERS) + 2, 20_000)
    with torch.no_grad():
        logits, _ = network(torch.from_numpy(ids[:-1, None]), network.initial_state(1))
        loss = torch.nn.functional.cross_entropy(logits[:, 0], torch.from_numpy(ids[1:])).item()
    assert model.score_tokens(ids, len(ids))["loss"] == pytest.approx(loss, rel=1e-6)


def test_no_text_to_score_is_refused(model):
    with pytest.raises(ConfigError, match="at least one character"):
        model.score("")
