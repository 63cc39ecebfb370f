"""Encoding in several processes: the same ids in the same order, and what happens where one dies."""

import os
import signal
import subprocess

import numpy as np
import pytest

from llmkit.data import encoding_workers, tokenizer as tokenizers
from llmkit.errors import InputError

TEXTS = [f"the sea {number} and   the sky, größer 漢字\n" for number in range(50)]


@pytest.fixture(scope="module")
def bpe():
    return tokenizers.train("bpe", 300, TEXTS)


def test_the_ids_are_those_of_one_process_in_order(bpe):
    encoder = tokenizers.Encoder(bpe)
    batches = [TEXTS[start : start + 7] for start in range(0, 50, 7)] + [[""], ["\ud800"]]
    found = list(encoding_workers.encoded(batches, bpe, encoder.dtype, 2))
    assert [len(batch) for batch in found] == [len(batch) for batch in batches]
    for batch, arrays in zip(batches, found, strict=True):
        for text, ids in zip(batch, arrays, strict=True):
            np.testing.assert_array_equal(ids, encoder.encode(text))
    assert list(encoding_workers.encoded([], bpe, encoder.dtype, 2)) == []


def test_a_worker_that_dies_is_told_and_none_is_left(bpe, monkeypatch):
    started, real = [], subprocess.Popen

    def noted(*arguments, **options):
        started.append(real(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)

    def batches():
        yield TEXTS
        os.kill(started[0].pid, signal.SIGKILL)
        started[0].wait()
        yield TEXTS
        yield TEXTS

    with pytest.raises(InputError, match="a process that encodes text was killed, perhaps for want of memory; run the"):
        list(encoding_workers.encoded(batches(), bpe, np.dtype("<u2"), 2))
    assert all(one.poll() is not None for one in started) and len(started) == 2


def test_who_stops_in_the_middle_leaves_no_worker(bpe, monkeypatch):
    started, real = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **o: started.append(real(*a, **o)) or started[-1])
    ids = encoding_workers.encoded(iter([TEXTS] * 5), bpe, np.dtype("<u2"), 2)
    next(ids)
    ids.close()
    assert all(one.poll() is not None for one in started)
