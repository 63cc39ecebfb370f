"""interruption.py: signals at any time, also in the midst of writing; the run goes on and ends bit for bit the same."""

import random
import signal
import subprocess
import sys
import time

import pytest
from faults import interrupt
from faulty_runs import SETTINGS, Run, linux_only
from forks import in_child

pytestmark = linux_only


def test_a_second_ctrl_c_in_the_midst_of_writing(run: Run) -> None:
    seen, proven = run.operations(), set[str]()
    for number in range(1, len(seen), 4):
        run.clear()
        assert in_child(lambda number=number: run.faulty(number, interrupt)) == 130
        run.assert_goes_on(seen[: number - 1], proven)


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [(signal.SIGKILL, -9, ""), (signal.SIGTERM, 130, "the same command goes on from there")],
    ids=["SIGKILL", "SIGTERM"],
)
def test_a_process_that_gets_a_signal_at_any_time(run: Run, number: int, code: int, says: str) -> None:
    long = ["train.steps=300", "train.validation_steps=20", "train.checkpoint_steps=20"]
    run.end(*long)
    command = [sys.executable, "-m", "llmkit", "train", str(run.config), *SETTINGS, *long]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    metrics = run.checkpoints / "metrics.jsonl"
    wanted = random.Random(number).randint(1, 5)  # validations, then a moment
    while started.poll() is None and (not metrics.exists() or len(metrics.read_bytes().splitlines()) < wanted):
        time.sleep(0.002)
    time.sleep(random.Random(code).random() / 20)
    started.send_signal(number)
    _, said = started.communicate()
    assert (started.returncode, says in said) == (code, True)
    resumed = run.train(*long)
    assert resumed.went_on_from >= 20 * (wanted - 1)
    run.assert_ended(*long)
