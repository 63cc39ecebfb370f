"""What `llmkit serve` bears: a table's predictions at 300 requests a second, texts written side by side, memory.

    python benchmarks/serve.py [--seconds 20] [--requests 100000] [--json]

Needs the extra `serve` and two models: those of configs/credit.yaml and configs/shakespeare.yaml (make demo; python
data/fetch.py credit; llmkit prepare and train configs/credit.yaml), or --table and --language name others. The server
is a process of its own; so is whoever asks, on the same processors. Row "llmkit":

    table_p99_ms        of 100 requests for a row, 99 are answered within it, at `rate` requests a second for `seconds`
    streams_16_speedup  tokens a second of 16 streamed texts together, over those of one alone
    memory_growth       of the server's memory over `requests` predictions, as a share of it after the first thousand
    sigterm_lost        of requests for rows and texts, sent until the server listens no more, those without an answer
                        that were sent before SIGTERM, or that the audit log says were taken; of SIGTERM_ROUNDS ends
    sigterm_taken       how many the server took in all of them
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
RATE, CONNECTIONS = 300, 8
TOKENS = 1500
SIGTERM_ROUNDS, SIGTERM_SECONDS = 5, 2.0
ROW = """{"sex": "male", "job": 2, "housing": "own", "saving_accounts": "little", "checking_account": "moderate",
"credit_amount": 2000, "duration": 24, "purpose": "car", "age": 35}"""
HEADERS = {"Content-Type": "application/json"}


class Server:
    """A running server of two models, `table` and `language`."""

    def __init__(self, table: Path, language: Path, *more: str):
        """`more`: further words of the command line."""
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        words = ["serve", f"table={table}", f"language={language}", "--port", str(self.port), *more]
        folder = tempfile.mkdtemp(prefix="llmkit-")  # without keys in it
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "llmkit", *words], cwd=folder, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("serving on"):
                return
        raise SystemExit("the server did not start; are both models there?")

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    @property
    def memory(self) -> int:
        """Bytes that are resident."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


def ask(connection: http.client.HTTPConnection, path: str, body: dict[str, Any]) -> bytes:
    connection.request("POST", path, json.dumps(body), HEADERS)
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status} {data[:200]!r}")
    return data


def latencies(server: Server, row: dict[str, Any], seconds: float) -> np.ndarray:
    """Milliseconds (N,) of requests that are due at an even rate; a wait for the connection counts, too."""
    found: list[float] = []
    begin = time.perf_counter() + 0.2

    def work(first: int) -> None:
        connection = server.connection()
        for number in range(first, int(RATE * seconds), CONNECTIONS):
            due = begin + number / RATE
            time.sleep(max(due - time.perf_counter(), 0))
            ask(connection, "/v1/predict", {"model": "table", "input": row})
            found.append(1000 * (time.perf_counter() - due))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return np.array(found[RATE:])  # without the first second


def tokens_per_second(server: Server, streams: int) -> float:
    """Tokens of all streams together, from the first request to the last token."""
    body = {"model": "language", "prompt": "To be", "max_tokens": TOKENS, "stream": True, "temperature": 0.8}
    written = [0] * streams

    def work(number: int) -> None:
        data = ask(server.connection(), "/v1/completions", body | {"seed": number, "stream_options": USAGE})
        events = [json.loads(part[6:]) for part in data.decode().split("\n\n") if part.startswith("data: {")]
        written[number] = events[-1]["usage"]["completion_tokens"]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(streams)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(written) / (time.perf_counter() - start)


USAGE = {"include_usage": True}


def memory_growth(server: Server, row: dict[str, Any], requests: int) -> float:
    """How much more memory the server has after so many requests than after a thousand, as a share."""
    connection, before = server.connection(), 0
    for number in range(requests):
        ask(connection, "/v1/predict", {"model": "table", "input": row})
        if number == 1000:
            before = server.memory
    return server.memory / max(before, 1) - 1


def sigterm(table: Path, language: Path, row: dict[str, Any]) -> tuple[int, int]:
    """(requests lost, requests taken) of a server that is told to end while it works."""
    log = Path(tempfile.mkdtemp(prefix="llmkit-")) / "audit.jsonl"
    server = Server(table, language, "--audit", str(log))
    text = {"model": "language", "prompt": "To be", "max_tokens": 300}
    sent: list[tuple[float, bool]] = []  # when, and whether an answer came

    def work(path: str, body: dict[str, Any]) -> None:
        connection = server.connection()
        while True:
            start = time.perf_counter()
            try:
                connection.request("POST", path, json.dumps(body), HEADERS)
                connection.getresponse().read()
                sent.append((start, True))
            except ConnectionRefusedError:
                return  # nobody listens any more
            except (http.client.HTTPException, OSError):
                sent.append((start, False))
                connection = server.connection()

    rows, texts = [("/v1/predict", {"model": "table", "input": row})], [("/v1/completions", text)]
    threads = [threading.Thread(target=work, args=each) for each in rows * CONNECTIONS + texts * CONNECTIONS]
    for thread in threads:
        thread.start()
    time.sleep(SIGTERM_SECONDS)
    told = time.perf_counter()
    server.process.terminate()
    for thread in threads:
        thread.join()
    if server.process.wait() != 0:
        raise SystemExit("the server did not end as it should")
    early = sum(not answered for start, answered in sent if start < told)
    taken = sum(1 for line in log.read_text().splitlines() if json.loads(line)["method"] == "POST")
    return max(early, taken - sum(answered for _, answered in sent)), taken


def main() -> None:
    """Measure, print a table or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=ROOT / "runs" / "credit" / "model")
    parser.add_argument("--language", type=Path, default=ROOT / "runs" / "shakespeare" / "model")
    parser.add_argument("--row", default=ROW, help="a row, as JSON")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    row = json.loads(arguments.row)
    server = Server(arguments.table.resolve(), arguments.language.resolve())
    try:
        taken = latencies(server, row, arguments.seconds)
        one, sixteen = tokens_per_second(server, 1), tokens_per_second(server, 16)
        found = {
            "row": "llmkit",
            "rate": RATE,
            "table_p50_ms": float(np.quantile(taken, 0.5)),
            "table_p99_ms": float(np.quantile(taken, 0.99)),
            "stream_tokens_per_second": one,
            "streams_16_tokens_per_second": sixteen,
            "streams_16_speedup": sixteen / one,
            "memory_growth": memory_growth(server, row, arguments.requests),
            "memory_mb": server.memory / 1e6,
        }
    finally:
        server.process.terminate()
        server.process.wait()
    ends = [sigterm(arguments.table.resolve(), arguments.language.resolve(), row) for _ in range(SIGTERM_ROUNDS)]
    found["sigterm_lost"], found["sigterm_taken"] = (sum(each) for each in zip(*ends, strict=True))
    if arguments.json:
        print(json.dumps({"rows": [found]}))
        return
    for name, value in found.items():
        print(f"{name:30}{value if isinstance(value, str) else format(value, ',.3f')}")


if __name__ == "__main__":
    main()
