"""ONNX Runtime sessions of model folders. Imports neither torch nor onnx."""

import os

import numpy as np
import onnxruntime as ort

from llmkit.errors import InputError
from llmkit.model_folder import GRAPH, ModelFolder


class Session:
    """A graph with its weights. The arrays stay alive as long as the session, which does not copy them."""

    def __init__(self, graph: bytes, weights: dict[str, np.ndarray], threads: int | None = None):
        """`graph` declares `weights` as external initializers. `threads`: of one call; None takes every processor.

        Raises InputError when the graph does not load.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or usable_processors()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.set_denormal_as_zero", "1")  # denormals slow an LSTM many times
        self.weights = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in weights.items()}
        self._arrays = weights
        options.add_external_initializers(list(self.weights), list(self.weights.values()))
        try:
            self.session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises classes of its own for each status
            raise InputError(f"the graph does not load: {error}; make the model again") from error
        self.run = self.session.run
        self.inputs = {node.name: node.shape for node in self.session.get_inputs()}
        self.outputs = [node.name for node in self.session.get_outputs()]


def open_session(folder: ModelFolder, threads: int | None = None) -> Session:
    """The session of a model folder."""
    return Session((folder.path / GRAPH).read_bytes(), folder.weights(), threads)


def usable_processors() -> int:
    """Processors this process may use (a container may allow fewer than the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities along the last axis, float32 in and out."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
