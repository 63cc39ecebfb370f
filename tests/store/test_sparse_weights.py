"""Weights that are mostly zeros: stored small, back as they were, damage noticed."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

from llmkit.errors import InputError
from llmkit.store import model_folder, sparse_weights
from llmkit.tasks.language import graph
from llmkit.tasks.language.network import LanguageModel
from llmkit.tasks.language.settings import Config


def mostly_zeros(share, shape=(40, 50), dtype=np.float32):
    generator = np.random.default_rng(0)
    return (generator.standard_normal(shape) * (generator.random(shape) >= share)).astype(dtype)


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float16, np.int8]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=40),
        elements=st.integers(-3, 3),
        fill=st.sampled_from([0, 1]),
    )
)
def test_any_array_comes_back(array):
    stored = sparse_weights.pack({"a.b": array, "plain": np.ones(3, np.float32)})
    back = sparse_weights.unpack(stored, "model.safetensors")
    assert set(back) == {"a.b", "plain"}
    assert back["a.b"].dtype == array.dtype and back["a.b"].shape == array.shape
    assert np.array_equal(back["a.b"], array)
    assert sum(part.nbytes for part in stored.values()) <= array.nbytes + 12


@pytest.mark.parametrize(
    ("array", "sparse"),
    [
        (mostly_zeros(1.0), True),
        (mostly_zeros(0.8), True),
        (mostly_zeros(0.4), False),
        (mostly_zeros(0.0), False),
        (mostly_zeros(0.9, (3, 4)), False),  # too small to matter
        (np.zeros((), np.float32), False),
        (np.zeros((0, 5), np.float32), False),
    ],
)
def test_only_what_gets_much_smaller_is_stored_so(array, sparse):
    assert (set(sparse_weights.pack({"w": array})) != {"w"}) == sparse


def test_the_layout_by_hand():
    weight = np.zeros((2, 600), np.float32)
    weight[0, 1], weight[1, 599] = 2.5, -1
    stored = sparse_weights.pack({"w": weight})
    assert stored["w.sparse.values"].tolist() == [2.5, -1]
    assert stored["w.sparse.shape"].tolist() == [2, 600]
    mask = stored["w.sparse.mask"]
    assert (len(mask), mask[0], mask[-1], mask[1:-1].any()) == (150, 0b10, 0b10000000, False)


def test_four_fifths_zeros_make_a_model_folder_less_than_a_third(tmp_path):
    network = LanguageModel(30, 64, 64, 1)
    exported, weights = graph.export(network)
    pruned = {
        name: mostly_zeros(0.8, array.shape) if array.ndim > 1 and not name.endswith(".B") else array
        for name, array in weights.items()
    }
    sizes = []
    for arrays_, name in ((weights, "dense"), (pruned, "sparse")):
        (tmp_path / name).mkdir()
        model_folder.write(tmp_path / name, exported, arrays_, Config(), {})
        sizes.append((tmp_path / name / model_folder.WEIGHTS).stat().st_size)
    assert sizes[1] < sizes[0] / 3


def damaged(**changes):
    stored = sparse_weights.pack({"w": mostly_zeros(0.8)})
    return {name: changes.get(name.rpartition(".")[2], array) for name, array in stored.items()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": np.zeros(249, np.uint8)}, "w.sparse.mask has 1992 bits for 2000 weights"),
        ({"mask": np.zeros(251, np.uint8)}, "w.sparse.mask has 2008 bits for 2000 weights"),
        ({"shape": np.array([40, 51])}, "w.sparse.mask has 2000 bits for 2040 weights"),
        ({"mask": np.full(250, 255, np.uint8)}, "w keeps 2000 weights, "),
        ({"values": np.zeros(3, np.float32)}, ", 3 are there; make the model again"),
        ({"shape": np.array([40.0, 50.0])}, "w is kept in parts of other kinds"),
        ({"shape": np.array([-40, -50])}, "w is kept in parts of other kinds"),
        ({"shape": np.array([[40, 50]])}, "w is kept in parts of other kinds"),
        ({"mask": np.zeros(250, np.float32)}, "w is kept in parts of other kinds"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(changes, message):
    with pytest.raises(InputError) as error:
        sparse_weights.unpack(damaged(**changes), "runs/x/model.safetensors")
    assert message in str(error.value) and "runs/x/model.safetensors: " in str(error.value)


@pytest.mark.parametrize("missing", ["mask", "values", "shape"])
def test_a_missing_part_is_named(missing):
    stored = damaged()
    del stored[f"w.sparse.{missing}"]
    with pytest.raises(InputError, match=f"w has no w.sparse.{missing}"):
        sparse_weights.unpack(stored, "m")


def test_what_would_unpack_to_more_than_there_is_room_for(monkeypatch):
    stored = damaged()
    room = sum(array.nbytes for array in stored.values()) - 250 + 8 * 250 * 9  # a mask of 250 bytes, 9 a weight
    monkeypatch.setattr(sparse_weights.memory, "most_bytes", lambda: room)
    assert sparse_weights.unpack(stored, "m")["w"].shape == (40, 50)
    monkeypatch.setattr(sparse_weights.memory, "most_bytes", lambda: room - 1)
    with pytest.raises(InputError, match=f"^m would unpack to {room:,} bytes, more than this machine has room for$"):
        sparse_weights.unpack(stored, "m")
