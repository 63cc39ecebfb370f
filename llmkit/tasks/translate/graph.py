"""The network as an ONNX graph without weights: the encoder and one step of the decoder, side by side in one file.

They share their weights (the embedding), so they lie in one graph; `runtime.graph_part` takes either out of it.

    encoder   sources (B, S) int64, source_places (S, 1) float, source_mask (B, 1, 1, S) float, 0 or -1e9
              -> source_k0 (B, H, d, S), source_v0 (B, H, S, d), … of each layer of the decoder
    a step    tokens (B, K) int64, K partial translations of each source; place (1, 1) float; source_mask; memory_k0,
              memory_v0, …, which are source_k0, source_v0, …;
              past_k0, past_v0 (B, K, H, T, d), …
              -> logits (B, K, V), next_k0, next_v0 (B, K, H, T + 1, d), …

Weights lie as MatMul wants them, (inputs, outputs).
"""

from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

from llmkit.tasks.translate.network import TranslationNetwork, frequencies

OPSET, IR_VERSION = 21, 10


def export(network: TranslationNetwork) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """(graph, weights): the ONNX model, and the arrays that its initializers name."""
    draft = _Draft(network)
    draft.encoder()
    draft.step()
    graph = helper.make_graph(draft.nodes, "translation", draft.inputs, draft.outputs, draft.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    weights = to_arrays(network) | {
        "frequencies": frequencies(network.hidden_size),
        "embedding_scale": np.float32(network.hidden_size**0.5).reshape(1),
        "attention_scale": np.float32((network.hidden_size // network.heads) ** -0.5).reshape(1),
    }
    return model, weights


def to_arrays(network: TranslationNetwork) -> dict[str, np.ndarray]:
    """The network's weights as float32 arrays, matrices as (inputs, outputs)."""
    arrays = {}
    for name, weight in network.state_dict().items():
        array = weight.detach().to("cpu", torch.float32).numpy()
        arrays[name] = np.ascontiguousarray(array.T if _is_turned(name, array) else array)
    return arrays


def from_arrays(network: TranslationNetwork, arrays: dict[str, np.ndarray]) -> None:
    """Put the arrays that `to_arrays` gave into a network of the same sizes. Raises KeyError or RuntimeError."""
    state = {}
    for name in network.state_dict():
        array = arrays[name]
        state[name] = torch.from_numpy(np.array(array.T if _is_turned(name, array) else array))
    network.load_state_dict(state)


def _is_turned(name: str, array: np.ndarray) -> bool:
    return array.ndim == 2 and name != "embedding"


class _Draft:
    """The nodes so far; each method adds some and gives the name of what they compute."""

    def __init__(self, network: TranslationNetwork):
        self.network = network
        self.size, self.heads = network.hidden_size, network.heads
        self.each = self.size // self.heads
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.constants = [
            helper.make_tensor("to_heads", TensorProto.INT64, [4], [0, 0, self.heads, self.each]),
            helper.make_tensor("to_one", TensorProto.INT64, [5], [0, 0, self.heads, 1, self.each]),
            helper.make_tensor("together", TensorProto.INT64, [3], [0, 0, self.size]),
        ]

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def split(self, x: str, names: list[str]) -> list[str]:
        """Equal parts of the last axis."""
        self.nodes.append(helper.make_node("Split", [x], names, name=f"{x}.split", axis=-1, num_outputs=len(names)))
        return names

    def take(self, name: str, shape: list[str | int], kind: int = TensorProto.FLOAT) -> None:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))

    def give(self, name: str, shape: list[str | int]) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def norm(self, x: str, name: str, output: str) -> str:
        inputs = [x, f"{name}.weight", f"{name}.bias"]
        return self.add("LayerNormalization", inputs, output, axis=-1, epsilon=1e-5)

    def dense(self, x: str, name: str, output: str) -> str:
        return self.add("Add", [self.add("MatMul", [x, f"{name}.weight"], f"{output}.product"), f"{name}.bias"], output)

    def embedded(self, tokens: str, places: str, part: str) -> str:
        found = self.add("Gather", ["embedding", tokens], f"{part}.rows")
        scaled = self.add("Mul", [found, "embedding_scale"], f"{part}.scaled")
        angles = self.add("Mul", [places, "frequencies"], f"{part}.angles")  # (S, D / 2)
        waves = [self.add("Sin", [angles], f"{part}.sines"), self.add("Cos", [angles], f"{part}.cosines")]
        return self.add("Add", [scaled, self.add("Concat", waves, f"{part}.waves", axis=-1)], f"{part}.embedded")

    def attended(self, q: str, keys: str, values: str, mask: str | None, name: str) -> str:
        """q (…, T, d), keys (…, d, S), values (…, S, d) -> (…, T, d)."""
        scores = self.add("MatMul", [self.add("Mul", [q, "attention_scale"], f"{name}.q"), keys], f"{name}.scores")
        if mask:
            scores = self.add("Add", [scores, mask], f"{name}.masked")
        return self.add("MatMul", [self.add("Softmax", [scores], f"{name}.shares", axis=-1), values], f"{name}.found")

    def by_heads(self, x: str, perm: list[int]) -> str:
        """(B, T, D) -> (B, T, H, d), its axes in another order."""
        return self.add("Transpose", [self.add("Reshape", [x, "to_heads"], f"{x}.heads")], f"{x}.turned", perm=perm)

    def joined(self, x: str) -> str:
        """(B, H, T, d) -> (B, T, D)."""
        turned = self.add("Transpose", [x], f"{x}.turned", perm=[0, 2, 1, 3])
        return self.add("Reshape", [turned, "together"], f"{x}.joined")

    def after(self, x: str, name: str) -> str:
        """The dense layers of a layer, and what they are added to."""
        inner = self.dense(self.norm(x, f"{name}.dense_norm", f"{name}.dense_normed"), f"{name}.dense_in", f"{name}.in")
        out = self.dense(self.add("Relu", [inner], f"{name}.relu"), f"{name}.dense_out", f"{name}.out")
        return self.add("Add", [x, out], f"{name}.x")

    def encoder(self) -> None:
        self.take("sources", ["B", "S"], TensorProto.INT64)
        self.take("source_places", ["S", 1])
        self.take("source_mask", ["B", 1, 1, "S"])
        x = self.embedded("sources", "source_places", "source")
        for k in range(len(self.network.encoder)):
            name = f"encoder.{k}"
            qkv = self.dense(self.norm(x, f"{name}.own_norm", f"{name}.own_normed"), f"{name}.own_in", f"{name}.qkv")
            q, key, value = self.split(qkv, [f"{name}.{part}" for part in ("query", "key", "value")])
            heads = [
                self.by_heads(q, [0, 2, 1, 3]),
                self.by_heads(key, [0, 2, 3, 1]),
                self.by_heads(value, [0, 2, 1, 3]),
            ]
            found = self.attended(heads[0], heads[1], heads[2], "source_mask", f"{name}.own")
            x = self.add(
                "Add", [x, self.dense(self.joined(found), f"{name}.own_out", f"{name}.own_added")], f"{name}.h"
            )
            x = self.after(x, name)
        memory = self.norm(x, "encoder_norm", "memory")
        for k in range(len(self.network.decoder)):
            kv = self.dense(memory, f"decoder.{k}.source_in", f"memory.{k}")
            key, value = self.split(kv, [f"memory.{k}.key", f"memory.{k}.value"])
            self.add("Identity", [self.by_heads(key, [0, 2, 3, 1])], f"source_k{k}")
            self.add("Identity", [self.by_heads(value, [0, 2, 1, 3])], f"source_v{k}")
            self.give(f"source_k{k}", ["B", self.heads, self.each, "S"])
            self.give(f"source_v{k}", ["B", self.heads, "S", self.each])

    def step(self) -> None:
        self.take("tokens", ["B", "K"], TensorProto.INT64)
        self.take("place", [1, 1])
        x = self.embedded("tokens", "place", "target")
        self.give("logits", ["B", "K", self.network.vocab_size])
        for k in range(len(self.network.decoder)):
            x = self.after(self.read_source(self.read_own(x, k), k), f"decoder.{k}")
        y = self.norm(x, "decoder_norm", "written")
        self.add("Transpose", ["embedding"], "output", perm=[1, 0])
        self.add("Add", [self.add("MatMul", [y, "output"], "products"), "output_bias"], "logits")

    def read_own(self, x: str, k: int) -> str:
        """Attention of each partial translation to itself."""
        name, sizes = f"decoder.{k}", (self.heads, self.each)
        qkv = self.dense(self.norm(x, f"{name}.own_norm", f"{name}.own_normed"), f"{name}.own_in", f"{name}.qkv")
        parts = self.split(qkv, [f"{name}.{part}" for part in ("query", "key", "value")])
        q, *new = (self.add("Reshape", [part, "to_one"], f"{part}.one") for part in parts)  # (B, K, H, 1, d)
        for part, one in zip("kv", new, strict=True):
            self.take(f"past_{part}{k}", ["B", "K", sizes[0], "T", sizes[1]])
            self.add("Concat", [f"past_{part}{k}", one], f"next_{part}{k}", axis=3)
            self.give(f"next_{part}{k}", ["B", "K", sizes[0], "T + 1", sizes[1]])
        keys = self.add("Transpose", [f"next_k{k}"], f"{name}.keys", perm=[0, 1, 2, 4, 3])
        found = self.attended(q, keys, f"next_v{k}", None, f"{name}.own")  # (B, K, H, 1, d)
        joined = self.add("Reshape", [found, "together"], f"{name}.own.joined")
        return self.add("Add", [x, self.dense(joined, f"{name}.own_out", f"{name}.own_added")], f"{name}.h")

    def read_source(self, x: str, k: int) -> str:
        """Attention of all partial translations of a source to it, as if they were its positions."""
        name = f"decoder.{k}"
        self.take(f"memory_k{k}", ["B", self.heads, self.each, "S"])
        self.take(f"memory_v{k}", ["B", self.heads, "S", self.each])
        normed = self.norm(x, f"{name}.source_norm", f"{name}.source_normed")
        q = self.by_heads(self.dense(normed, f"{name}.source_query", f"{name}.source_q"), [0, 2, 1, 3])
        found = self.attended(q, f"memory_k{k}", f"memory_v{k}", "source_mask", f"{name}.source")
        added = self.dense(self.joined(found), f"{name}.source_out", f"{name}.source_added")
        return self.add("Add", [x, added], f"{name}.s")
