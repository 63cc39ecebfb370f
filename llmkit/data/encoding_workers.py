"""Texts to token ids in several processes, in order, a few batches in memory at a time.

In: batches of texts and a tokenizer. Out: the ids of each batch, those that `tokenizer.Encoder` gives in one process. A
worker is this module as a program: it reads the tokenizer, then batch after batch from standard input, and answers on
standard output. Each has one batch at a time, so that neither side waits for the other to read. A worker ends when its
input does, however this process ends.
"""

import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import numpy as np

from llmkit.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Pipes = tuple[IO[bytes], IO[bytes]]
"""(what a worker reads, what it writes)."""


def encoded(
    batches: Iterable[Sequence[str]], tokenizer: "Tokenizer", dtype: np.dtype, workers: int
) -> Iterator[list[np.ndarray]]:
    """The ids of the texts of each batch, in order. Raises InputError where a worker dies."""
    with _started(tokenizer, workers) as pipes:
        waiting: deque[Pipes] = deque()
        for number, batch in enumerate(batches):
            worker = pipes[number % workers]
            if len(waiting) == workers:
                yield _answer(waiting.popleft(), dtype)
            _send(worker, [text.encode("utf-8", "surrogatepass") for text in batch])
            waiting.append(worker)
        while waiting:
            yield _answer(waiting.popleft(), dtype)


@contextmanager
def _started(tokenizer: "Tokenizer", workers: int) -> Iterator[list[Pipes]]:
    command = [sys.executable, "-c", "from llmkit.data import encoding_workers; encoding_workers.work()"]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(workers):
            # Ctrl-C is this process's affair: in a session of its own a worker does not hear of it.
            started.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
            )
        pipes = [(one.stdin, one.stdout) for one in started if one.stdin and one.stdout]
        for worker in pipes:
            _send(worker, [tokenizer.to_str().encode()])
        yield pipes
    finally:
        for one in started:
            one.kill()
            one.communicate()  # closes the pipes and waits


def _send(worker: Pipes, parts: Sequence[bytes]) -> None:
    try:
        _write(worker[0], parts)
    except OSError as error:
        raise InputError(DIED) from error


def _answer(worker: Pipes, dtype: np.dtype) -> list[np.ndarray]:
    parts = _read(worker[1])
    if parts is None:
        raise InputError(DIED)
    return [np.frombuffer(part, dtype) for part in parts]


DIED = (
    "a process that encodes text was killed, perhaps for want of memory; run the command again, or with "
    "prepare.workers=1"
)


# --- frames: how many parts, their lengths, the parts ---------------------------------------------------------------


def _write(file: IO[bytes], parts: Sequence[bytes]) -> None:
    file.write(np.array([len(parts), *map(len, parts)], "<i8").tobytes())
    file.writelines(parts)
    file.flush()


def _read(file: IO[bytes]) -> list[bytes] | None:
    """The parts of the next frame; None where the input has ended."""
    head = file.read(8)
    if len(head) < 8:
        return None
    lengths = np.frombuffer(file.read(8 * int.from_bytes(head, "little")), "<i8")
    parts = [file.read(length) for length in lengths.tolist()]
    return parts if [len(part) for part in parts] == lengths.tolist() else None


# --- a worker ---------------------------------------------------------------------------------------------------


def work() -> None:
    """Encode batch after batch from standard input until it ends."""
    from tokenizers import Tokenizer

    from llmkit.data.tokenizer import Encoder

    given, answers = sys.stdin.buffer, sys.stdout.buffer
    first = _read(given)
    if not first:
        return
    encoder = Encoder(Tokenizer.from_buffer(first[0]))
    while (batch := _read(given)) is not None:
        texts = [part.decode("utf-8", "surrogatepass") for part in batch]
        _write(answers, [encoder.encode(text).tobytes() for text in texts])
