"""How fast text becomes token ids, and in how much memory.

    python benchmarks/prepare.py [--files 'data/union/*.txt'] [--gigabytes 1] [--json]

First: BPE of 8,000 trained on the files, then all of them encoded as `llmkit prepare` does it (blocks read from the
spooled text, encoded, written as .npy), beside `tokenizers` on whole documents and by line. Then, with --gigabytes,
a file of that size is written from the same text, with numbers mixed in, and prepared in a process of its own: by
characters, and by BPE with one worker and with two. Printed are seconds and the peak memory of all its processes
together (proportional set size, looked at five times a second; Linux).
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from llmkit.data import tokenizer as tokenizers
from llmkit.data.files import find_files
from llmkit.tasks.language import prepare
from llmkit.tasks.language.settings import Prepare, Split, Tokenizer

VOCAB_SIZE = 8000


def encode_speed(files: str) -> dict[str, float]:
    """MB/s (of UTF-8) of ours and of `tokenizers`, on the same text with the same vocabulary."""
    texts = [path.read_text(encoding="utf-8") for path in find_files(files)]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    seconds: list[float] = []
    write_tokens = prepare.write_tokens

    def timed(*arguments: Any) -> Any:
        start = time.perf_counter()
        result = write_tokens(*arguments)
        seconds.append(time.perf_counter() - start)
        return result

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        settings = Prepare(
            files=files, tokenizer=Tokenizer(kind="bpe", vocab_size=VOCAB_SIZE), split=Split(val=0.05, test=0.05)
        )
        start = time.perf_counter()
        prepare.write_tokens = timed  # reads, encodes and writes one split
        prepare.prepare(settings, 1, out, out / "work", lambda *progress: None, lambda message: None)
        prepare.write_tokens = write_tokens
        whole = time.perf_counter() - start
        library = tokenizers.load(out / "tokenizer.json")
        start = time.perf_counter()
        library.encode_batch_fast(texts)
        documents = time.perf_counter() - start
        start = time.perf_counter()
        library.encode_batch_fast([line for text in texts for line in text.splitlines(keepends=True)])
        lines = time.perf_counter() - start
    return {
        "megabytes": megabytes,
        "prepare_seconds": whole,
        "encode_mb_per_second": megabytes / sum(seconds),
        "tokenizers_documents_mb_per_second": megabytes / documents,
        "tokenizers_lines_mb_per_second": megabytes / lines,
    }


def big_file(files: str, path: Path, size_bytes: int) -> None:
    """Text of the files over and over, a random number in each line so that no two passes are the same."""
    generator = random.Random(0)
    lines = [line for file in find_files(files) for line in file.read_text(encoding="utf-8").splitlines()]
    with path.open("w", encoding="utf-8") as out:
        while out.tell() < size_bytes:
            out.write("".join(f"{line} {generator.randrange(10**9)}\n" for line in lines))


def memory(process: int) -> int:
    """Bytes that a process and all that it started hold, shared pages counted once."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # it has just ended
        return 0
    mine = next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)
    return mine + sum(memory(int(child)) for child in children)


def peak_memory(files: str, size_bytes: int, kind: str, workers: int) -> dict[str, float]:
    """Peak memory and seconds of preparing a generated file in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        text, config = Path(folder) / "big.txt", Path(folder) / "big.yaml"
        big_file(files, text, size_bytes)
        tokenizer = f"{{kind: {kind}, vocab_size: {VOCAB_SIZE}}}"
        section = f"{{files: {text}, tokenizer: {tokenizer}, workers: {workers}}}"
        config.write_text(f"run_dir: {folder}/run\nprepare: {section}\n")
        start = time.perf_counter()
        command = [sys.executable, "-m", "llmkit", "prepare", str(config), "--quiet", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        peak = 0
        while process.poll() is None:
            peak = max(peak, memory(process.pid))
            time.sleep(0.2)
        if process.returncode:
            raise SystemExit(f"preparing {text} failed")
        seconds = time.perf_counter() - start
        size = text.stat().st_size
    return {"gigabytes": size / 1e9, "seconds": seconds, "peak_memory_mb": peak / 1e6}


def main() -> None:
    """Measure, print lines or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", default="data/union/*.txt")
    parser.add_argument("--gigabytes", type=float, default=0.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = {}
    if arguments.gigabytes:
        for kind, workers in (("char", 1), ("bpe", 1), ("bpe", 2)):
            figures = peak_memory(arguments.files, int(arguments.gigabytes * 1e9), kind, workers)
            result |= {f"big_{kind}_{workers}_{key}": value for key, value in figures.items()}
        result["big_bpe_times_as_fast"] = result["big_bpe_1_seconds"] / result["big_bpe_2_seconds"]
    result |= encode_speed(arguments.files)
    if arguments.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:40} {value:10.2f}")


if __name__ == "__main__":
    main()
