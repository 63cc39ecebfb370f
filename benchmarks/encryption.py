"""What encryption at rest costs: processor seconds and memory of prepare, train, generate, plain and encrypted.

    python benchmarks/encryption.py --text FILE [--steps 60] [--rounds 3] [--json]

Each command is a process of its own, plain and encrypted in turn, so that both meet the same machine; the fastest of
`--rounds` counts. Seconds are the processor's (user and system), which other programs disturb least. Memory is the peak
of the process (getrusage). `train` writes a checkpoint about every second; `below run_dir` is what lies on disk in the
end. Needs the extra `encrypt`.
"""

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from llmkit.store import encryption

STAGES = ("prepare", "train", "generate")
CONFIG = """\
prepare: {{files: {text}}}
run_dir: {run_dir}
train: {{steps: {steps}, checkpoint_minutes: 0.017}}
generate: {{max_tokens: 500}}
"""


def command(words: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """(processor seconds, peak memory in MB) of a command line. Raises CalledProcessError."""
    child = subprocess.Popen(
        [sys.executable, "-m", "llmkit", *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert child.stdout
    child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, words)
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6


def measure(text: Path, steps: int, rounds: int) -> list[dict[str, object]]:
    """A row for each stage."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipient = encryption.new_identity(folder / "key")
        environment = os.environ | {encryption.IDENTITY_FILE: str(folder / "key")}
        for kind in ("plain", "encrypted"):
            config = CONFIG.format(text=text.resolve(), run_dir=folder / kind, steps=steps)
            if kind == "encrypted":
                config += f"encryption: {{recipients: [{recipient}]}}\n"
            (folder / f"{kind}.yaml").write_text(config)
        for stage, number in itertools.product(STAGES, range(rounds)):
            for kind in ("plain", "encrypted") if number % 2 == 0 else ("encrypted", "plain"):
                if stage == "train":  # the n-gram model that a run keeps is made again, too
                    shutil.rmtree(folder / kind / "work", ignore_errors=True)
                words = [stage, str(folder / f"{kind}.yaml"), "--force"]
                found.setdefault((stage, kind), []).append(command(words, environment))
        size = {
            kind: sum(file.stat().st_size for file in (folder / kind).rglob("*") if file.is_file()) / 1e6
            for kind in ("plain", "encrypted")
        }
    rows: list[dict[str, object]] = []
    for stage in STAGES:
        row: dict[str, object] = {"stage": stage}
        for place, what in enumerate(("seconds", "memory_mb")):
            plain, sealed = (min(one[place] for one in found[stage, kind]) for kind in ("plain", "encrypted"))
            row |= {what: plain, f"{what}_encrypted": sealed, f"{what}_ratio": sealed / plain}
        rows.append(row)
    return [*rows, {"stage": "below run_dir", "mb": size["plain"], "mb_encrypted": size["encrypted"]}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True, help="the text to learn")
    parser.add_argument("--steps", type=int, default=60, help="optimizer steps of the training")
    parser.add_argument("--rounds", type=int, default=3, help="how often each command runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    rows = measure(arguments.text, arguments.steps, arguments.rounds)
    if arguments.json:
        print(json.dumps({"rows": rows}))
        return
    print("| stage | s plain | s encrypted | ratio | MB memory plain | MB encrypted | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    *stages, disk = rows
    for row in stages:
        print("| {stage} | {seconds:.2f} | {seconds_encrypted:.2f} | {seconds_ratio:.2f} |".format(**row), end="")
        print(" {memory_mb:.0f} | {memory_mb_encrypted:.0f} | {memory_mb_ratio:.2f} |".format(**row))
    print("\nbelow run_dir: {mb:.2f} MB plain, {mb_encrypted:.2f} MB encrypted".format(**disk))


if __name__ == "__main__":
    main()
