"""The network behind `features.py`, learnt from the training pictures in seconds: a classifier, or an autoencoder.

Two convolutions (4×4, stride 2; 32 and 64 channels, leaky ReLU), then a linear layer of 64: its outputs, before any
activation, are the features. Where there are labels a linear layer tells them from the features; where there are none,
two layers draw the picture again from them. 800 steps of AdamW on 64 pictures, randomly shifted by up to two pixels, so
that pictures it has learnt from and others get features alike.
"""

import math
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn
from torch.nn import functional as F

from llmkit.console.callbacks import Progress
from llmkit.store import new_files
from llmkit.training.augment import shifted
from llmkit.training.batches import Batches

SIZE, CHANNELS, SLOPE = 64, (32, 64), 0.2
STEPS, BATCH, RATE, DECAY, DROPOUT, SHIFT = 800, 64, 2e-3, 0.05, 0.3, 2
OPSET, IR_VERSION = 21, 10


class FeatureNetwork(nn.Module):
    """Pictures (B, C, H, H) from -1 to 1 -> features (B, 64)."""

    def __init__(self, edge: int, colours: int):
        super().__init__()
        self.first = nn.Conv2d(colours, CHANNELS[0], 4, 2, 1)
        self.second = nn.Conv2d(CHANNELS[0], CHANNELS[1], 4, 2, 1)
        self.last = nn.Linear(CHANNELS[1] * (edge // 4) ** 2, SIZE)

    def forward(self, pictures: Tensor) -> Tensor:
        h = F.leaky_relu(self.first(pictures), SLOPE)  # (B, 32, H/2, H/2)
        h = F.leaky_relu(self.second(h), SLOPE)  # (B, 64, H/4, H/4)
        return self.last(h.flatten(1))


def learn(pixels: np.ndarray, labels: np.ndarray | None, seed: int, progress: Progress) -> FeatureNetwork:
    """Learn from training pictures (N, H, H, C) uint8 and, where there are any, label numbers (N,)."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pictures = torch.from_numpy(scaled(pixels))
        network = FeatureNetwork(pixels.shape[1], pixels.shape[3])
        targets = pictures.flatten(1) if labels is None else torch.from_numpy(labels.astype(np.int64))
        count = targets.shape[1] if labels is None else int(labels.max()) + 1
        head: nn.Module = nn.Linear(SIZE, count)
        if labels is None:
            head = nn.Sequential(nn.Linear(SIZE, 256), nn.ReLU(), nn.Linear(256, count))
        both = nn.ModuleList([network, head])
        optimizer = torch.optim.AdamW(both.parameters(), RATE, weight_decay=DECAY, fused=True)
        batches = Batches(np.arange(len(pixels)), BATCH, seed)
        for step in range(STEPS):
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / STEPS))
            which = torch.from_numpy(batches.next())
            batch = shifted(pictures[which], SHIFT)
            features = F.dropout(network(batch), DROPOUT if labels is not None else 0.0)
            if labels is None:
                loss = F.mse_loss(head(features), batch.flatten(1))
            else:
                loss = F.cross_entropy(head(F.relu(features)), targets[which])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if step % 100 == 99:
                progress("learning features", step + 1, STEPS)
        _standardize(network, pictures)
    return network


@torch.no_grad()
def _standardize(network: FeatureNetwork, pictures: Tensor) -> None:
    """Mean 0 and deviation 1 of each feature over the pictures, by the weights of the last layer."""
    found = torch.cat([network(part) for part in pictures.split(500)]).double()
    deviation = found.std(dim=0).clamp_min(1e-6)
    network.last.weight.div_(deviation[:, None])
    network.last.bias.sub_(found.mean(dim=0)).div_(deviation)


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Pictures (N, H, H, C) uint8 as networks take them: (N, C, H, H) float32 from -1 to 1."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)


def save(network: FeatureNetwork, edge: int, colours: int, path: Path) -> None:
    """Write features.onnx: input `pictures` (B, H, H, C) uint8, output `features` (B, 64)."""
    weights = [helper.make_tensor("half", TensorProto.FLOAT, [], [127.5]), helper.make_tensor("one", 1, [], [1.0])]
    for name, tensor in network.state_dict().items():
        weights.append(helper.make_tensor(name, TensorProto.FLOAT, list(tensor.shape), tensor.flatten().tolist()))
    nodes = [
        helper.make_node("Cast", ["pictures"], ["bytes"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["bytes", "half"], ["halved"]),
        helper.make_node("Sub", ["halved", "one"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["h0"], perm=[0, 3, 1, 2]),
    ]
    for k, name in enumerate(("first", "second")):
        given = [f"h{k}", f"{name}.weight", f"{name}.bias"]
        nodes.append(helper.make_node("Conv", given, [name], strides=[2, 2], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("LeakyRelu", [name], [f"h{k + 1}"], alpha=SLOPE))
    nodes.append(helper.make_node("Flatten", ["h2"], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", "last.weight", "last.bias"], ["features"], transB=1))
    graph = helper.make_graph(
        nodes,
        "features",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["B", edge, edge, colours])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["B", SIZE])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    new_files.write_bytes(path, model.SerializeToString(deterministic=True))
