"""A second process: what it is asked, what both see, and that nothing waits for one that is gone."""

import os
import signal
import sys
import time

import pytest
import torch

from llmkit.training import second_process
from llmkit.training.second_process import SecondProcess, shared_like

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are for Linux")


def test_it_answers_and_writes_where_both_see_it() -> None:
    whole, small = shared_like([torch.ones(3, 5), torch.ones(2, dtype=torch.bfloat16)])
    assert whole.shape == (3, 5) and small.dtype == torch.bfloat16 and not whole.any()

    def work(message: bytes) -> bytes:
        whole.add_(float(message))
        small.fill_(7)
        return message + b"!"

    second = SecondProcess(work)
    for message in (b"1", b"2"):
        assert second.ask(message) and second.answer() == message + b"!"
    assert whole.eq(3).all() and small.eq(7).all()
    whole.fill_(5)  # what is written here is seen there
    second.ask(b"1")
    second.answer()
    assert whole.eq(6).all()


def test_one_that_is_gone_says_nothing() -> None:
    def work(message: bytes) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL if message == b"die" else signal.SIGTERM)
        return b"alive"

    second = SecondProcess(work)
    assert second.ask(b"a signal that is not for it") and second.answer() == b"alive"
    assert second.ask(b"die") and second.answer() is None
    assert not second.ask(b"again") and second.answer() is None


def test_an_error_in_it_is_no_answer() -> None:
    second = SecondProcess(lambda message: b"" + 1)  # type: ignore[operator]
    second.ask(b"x")
    assert second.answer() is None


def test_it_ends_with_its_object() -> None:
    second = SecondProcess(lambda message: str(os.getpid()).encode())
    second.ask(b"x")
    child = int(second.answer() or b"0")
    os.kill(child, 0)  # there
    del second
    for _ in range(100):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the process is still there")


def test_half_of_the_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    with second_process.half_of_the_threads():
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 4
    torch.set_num_threads(before)
