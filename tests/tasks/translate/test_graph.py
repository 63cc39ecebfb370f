"""The exported graph computes what the network does, step by step."""

from typing import Any

import numpy as np
import torch

from llmkit.runtime.graph_part import part
from llmkit.runtime.session import Session
from llmkit.store.model_folder import declare_weights
from llmkit.tasks.translate import graph
from llmkit.tasks.translate.network import TranslationNetwork


def network(seed: int = 0) -> TranslationNetwork:
    torch.manual_seed(seed)
    made = TranslationNetwork(11, 8, heads=2, encoder_layers=2, decoder_layers=2, feedforward_size=12).eval()
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return made


def sessions(made: Any, weights: dict[str, np.ndarray]) -> tuple[Session, Session]:
    data = declare_weights(made, weights)
    found = []
    names = [f"{kind}{k}" for k in range(2) for kind in "kv"]
    for outputs in ([f"source_{name}" for name in names], ["logits", *(f"next_{name}" for name in names)]):
        piece, read = part(data, outputs)
        found.append(Session(piece, {name: array for name, array in weights.items() if name in read}, 1))
    return found[0], found[1]


def test_steps_give_the_logits_of_the_whole() -> None:
    made = network()
    encoder, step = sessions(*graph.export(made))
    assert set(encoder.inputs) == {"sources", "source_places", "source_mask"}
    sources, counts = np.array([[3, 4, 5, 0], [6, 0, 0, 0]]), np.array([4, 2])
    targets = np.array([[0, 7, 8], [0, 9, 10]])
    with torch.no_grad():
        wanted = made(torch.from_numpy(sources), torch.from_numpy(counts), torch.from_numpy(targets)).numpy()
    mask = np.where(np.arange(4) < counts[:, None], 0, -1e9).astype(np.float32)[:, None, None]
    places = np.arange(4, dtype=np.float32)[:, None]
    memory = encoder.run(None, {"sources": sources, "source_places": places, "source_mask": mask})
    feeds = dict(zip(["memory_k0", "memory_v0", "memory_k1", "memory_v1"], memory, strict=True)) | {"source_mask": mask}
    past = [np.zeros((2, 1, 2, 0, 4), np.float32)] * 4
    names = ["past_k0", "past_v0", "past_k1", "past_v1"]
    for place in range(3):
        now = {"tokens": targets[:, place : place + 1], "place": np.full((1, 1), place, np.float32)}
        outputs = ["logits", *(name.replace("past", "next") for name in names)]
        logits, *past = step.run(outputs, feeds | now | dict(zip(names, past, strict=True)))
        np.testing.assert_allclose(logits[:, 0], wanted[:, place], atol=1e-4)


def test_weights_come_back() -> None:
    first, second = network(0), network(1)
    graph.from_arrays(second, graph.to_arrays(first))
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name])


def test_what_fills_a_source_up_changes_nothing() -> None:
    made = network()
    short, long = torch.tensor([[3, 4, 0]]), torch.tensor([[3, 4, 0, 9, 9]])
    with torch.no_grad():
        one, other = (made(source, torch.tensor([3]), torch.tensor([[0, 5]])) for source in (short, long))
    torch.testing.assert_close(one, other)
