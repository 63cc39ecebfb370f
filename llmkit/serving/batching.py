"""Requests of one moment answered together: one thread for each model takes what waits and asks the model once.

A bounded queue: who finds it full is told so at once. What waits longer than its deadline is not worked on any more.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from llmkit.errors import LlmkitError

MOST_TOGETHER = 512  # requests in one call of a model


class Busy(Exception):
    """The queue is full."""


@dataclass
class Job:
    """Requests of one caller, who waits for `future` until `deadline` (of time.monotonic)."""

    requests: Sequence[Any]
    alike: Hashable
    """Jobs of the same `alike` are answered together."""
    future: "asyncio.Future[list[Any]]"
    loop: asyncio.AbstractEventLoop
    deadline: float


class Batcher:
    """Answers requests in a thread of its own: `answer(requests, alike)` gives an answer for each."""

    def __init__(self, answer: Callable[[list[Any], Any], list[Any]], most_waiting: int):
        """`most_waiting`: requests, of all callers."""
        self._answer, self._most_waiting = answer, most_waiting
        self._waiting: deque[Job] = deque()
        self._count, self._ended = 0, False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="llmkit-batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return self._count

    async def submit(self, requests: Sequence[Any], alike: Hashable, seconds: float) -> list[Any]:
        """The answers to requests. Raises Busy, TimeoutError, and what the model raises for them."""
        loop = asyncio.get_running_loop()
        job = Job(requests, alike, loop.create_future(), loop, time.monotonic() + seconds)
        with self._changed:
            if self._count + len(requests) > self._most_waiting or self._ended:
                raise Busy
            self._count += len(requests)
            self._waiting.append(job)
            self._changed.notify()
        return await asyncio.wait_for(job.future, seconds)

    def close(self) -> None:
        """Answer what waits, take nothing new, end the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(timeout=30)

    def _work(self) -> None:
        while jobs := self._next():
            try:
                self._one_call(jobs)
            except LlmkitError:  # of one of them: each by itself, so that the others have their answers
                for job in jobs:
                    self._alone(job)
            except Exception as error:
                for job in jobs:
                    self._end(job, error)

    def _next(self) -> list[Job]:
        """Jobs that go together, the one that waits longest among them; none at the end."""
        with self._changed:
            while True:
                while self._waiting and (self._late(self._waiting[0]) or self._waiting[0].future.cancelled()):
                    self._count -= len(self._waiting.popleft().requests)
                if self._waiting:
                    break
                if self._ended:
                    return []
                self._changed.wait()
            first, left, count = self._waiting[0], deque[Job](), 0
            taken: list[Job] = []
            for job in self._waiting:
                fits = job.alike == first.alike and (not taken or count + len(job.requests) <= MOST_TOGETHER)
                (taken if fits else left).append(job)
                count += len(job.requests) if fits else 0
            self._waiting = left
            self._count -= count
            return taken

    @staticmethod
    def _late(job: Job) -> bool:
        return time.monotonic() > job.deadline

    def _one_call(self, jobs: list[Job]) -> None:
        found = self._answer([request for job in jobs for request in job.requests], jobs[0].alike)
        first = 0
        for job in jobs:
            self._end(job, found[first : first + len(job.requests)])
            first += len(job.requests)

    def _alone(self, job: Job) -> None:
        try:
            self._end(job, self._answer(list(job.requests), job.alike))
        except Exception as error:
            self._end(job, error)

    @staticmethod
    def _end(job: Job, result: list[Any] | Exception) -> None:
        def tell() -> None:
            if job.future.done():  # nobody waits any more
                return
            if isinstance(result, Exception):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)

        try:
            job.loop.call_soon_threadsafe(tell)
        except RuntimeError:  # the loop is closed: the server has ended
            return
