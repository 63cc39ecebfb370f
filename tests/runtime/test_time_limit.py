"""Runs that take too long."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest
from forks import in_child
from onnx import TensorProto, helper

from llmkit.errors import InputError
from llmkit.runtime import time_limit
from llmkit.runtime.session import Session


def steps() -> bytes:
    """A graph that goes over its rows one by one."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Tanh", ["a"], ["b"])],
        "step",
        [value("a", TensorProto.FLOAT, [1])],
        [value("b", TensorProto.FLOAT, [1])],
    )
    graph = helper.make_graph(
        [helper.make_node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1)],
        "rows",
        [value("x", TensorProto.FLOAT, ["N", 1])],
        [value("y", TensorProto.FLOAT, ["N", 1])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()


def test_a_run_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 million steps would take minutes; the thread may be asleep for a second of the usual length."""
    session = Session(steps(), {}, 1)
    assert session.run(None, {"x": np.zeros((3, 1), np.float32)})[0].tolist() == [[0], [0], [0]]
    assert session.watch.began is None
    monkeypatch.setattr(time_limit, "MOST_SECONDS", 0.05)
    monkeypatch.setattr(time_limit, "LOOK_SECONDS", 0.05)
    with pytest.raises(InputError, match="^the graph does not run: .*terminate"):
        session.run(None, {"x": np.zeros((100_000_000, 1), np.float32)})


def test_one_thread_watches_and_keeps_no_session() -> None:
    first, second = Session(steps(), {}, 1), Session(steps(), {}, 1)
    assert sum(thread.name == "llmkit time limit" for thread in threading.enumerate()) == 1
    gone = weakref.ref(first.watch)
    del first, second
    until = time.monotonic() + 10
    while gone() is not None and time.monotonic() < until:  # the thread may be looking at it
        gc.collect()
    assert gone() is None


def test_a_forked_child_has_a_watch_of_its_own() -> None:
    kept = Session(steps(), {}, 1)

    def child() -> None:
        names = [thread.name for thread in threading.enumerate()]
        Session(steps(), {}, 1)
        assert "llmkit time limit" not in names
        assert "llmkit time limit" in [thread.name for thread in threading.enumerate()]

    with time_limit._lock:  # held by the parent's thread at the moment of the fork
        assert in_child(child) == 0
    assert kept.watch.began is None
