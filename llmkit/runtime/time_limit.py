"""Runs of ONNX Runtime end after a time: a graph from elsewhere may ask for any amount of work.

One thread looks, once in a while, at what runs; starting one for each run would take longer than the run of a token.
"""

import os
import threading
import time
import weakref

import onnxruntime as ort

MOST_SECONDS = 600.0  # of one run, that of a batch
LOOK_SECONDS = 1.0  # between two looks


class Watch:
    """The runs of one session: `began` is set when one begins, None when it has ended."""

    def __init__(self) -> None:
        self.options = ort.RunOptions()
        self.options.add_run_config_entry("gpu_graph_id", "-1")  # none; asked for in vain takes longer than a token
        self.began: float | None = None
        _watch(self)


_watched: "weakref.WeakSet[Watch]" = weakref.WeakSet()
_lock = threading.Lock()
_watching = False


def _watch(watch: Watch) -> None:
    global _watching
    with _lock:
        _watched.add(watch)
        if not _watching:
            _watching = True
            threading.Thread(target=_look, name="llmkit time limit", daemon=True).start()


def _look() -> None:
    while True:
        time.sleep(LOOK_SECONDS)
        with _lock:
            watched = list(_watched)
        for watch in watched:
            if watch.began is not None and time.monotonic() - watch.began > MOST_SECONDS:
                watch.options.terminate = True
        watch = watched = None  # type: ignore[assignment]


def _begin_anew() -> None:
    """In a forked child, which has not the thread of its parent, but its lock as it was."""
    global _lock, _watching
    _lock, _watching = threading.Lock(), False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
