"""Several processes train as one: the same losses, the same bits after an interruption, a clear end when one dies.

Most processes here are forks of this one (torch is loaded already) that meet at a store of this one, as torchrun's do
at its; the deaths are those of processes that torchrun started.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gpus
import numpy as np
import pytest
import torch
from conftest import tiny_text, write_tiny_config
from processes import in_processes
from safetensors.torch import load_file, save_file
from small_learners import language_learner, prepared_tokens

from llmkit.cli import main as cli
from llmkit.errors import InputError, Interrupted
from llmkit.fitting import probe
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.store.files import Files
from llmkit.tasks import experiment as experiments
from llmkit.tasks.language.settings import Train
from llmkit.tasks.language.train import LanguageLearner
from llmkit.training import distributed, loop
from llmkit.training.distributed import Processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and finds processes in /proc")

TOKENS = np.random.default_rng(0).integers(1, 9, 6000).astype(np.uint8)
STREAMS_OF_3 = 3300  # tokens that are validated in three parallel parts, shared unevenly by two processes
SETTINGS = Train(steps=12, batch_size=6, sequence_length=6, validation_steps=4, checkpoint_steps=4, gradient_clip=0.3)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return prepared_tokens(tmp_path_factory.mktemp("prepared"), TOKENS, TOKENS[:STREAMS_OF_3])


def make_learner(prepared: Files, dropout: float) -> LanguageLearner:
    dropouts = dict.fromkeys(("dropout", "input_dropout", "recurrent_dropout"), dropout)
    return language_learner(prepared, SETTINGS, **dropouts)


# --- the same training ------------------------------------------------------------------------------------------


def fifty_steps(prepared: Files, processes: Processes, file: Path) -> None:
    """Train without dropout; writes losses of the whole batch, those of two validations and the weights."""
    learner = make_learner(prepared, dropout=0.0)
    if processes.count > 1:
        learner.distribute(processes)
    losses = [processes.sum(learner.step(0.03, 0.0).item() / processes.count)[0] for _ in range(50)]
    losses += [learner.validate()["val_loss"], learner.validate(0.05)["val_loss"]]  # the last in one part
    assert (learner.count, learner.carried[0].shape) == (learner.streams.position * 6, (2, 6 // processes.count, 8))
    save_file(learner.weights() | {"losses": torch.tensor(losses, dtype=torch.float64)}, file)


@pytest.mark.parametrize("count", [2, 3])
def test_fifty_steps_are_those_of_one_process_with_the_whole_batch(prepared, tmp_path, count):
    fifty_steps(prepared, distributed.ALONE, tmp_path / "alone")
    assert in_processes(count, lambda those: fifty_steps(prepared, those, tmp_path / f"{those.rank}")) == [0] * count
    alone, first, *others = (load_file(tmp_path / name) for name in ("alone", *map(str, range(count))))
    assert alone["losses"][0] - alone["losses"][49] > 0.01  # something was learned
    for name in alone:
        assert torch.allclose(first[name], alone[name], atol=1e-4, rtol=0), name
        assert all(torch.equal(other[name], first[name]) for other in others), name


def average(processes: Processes) -> None:
    """Gradients of several shapes, other ones in each process; a parameter without any stays so."""
    parameters = [torch.nn.Parameter(torch.zeros(size)) for size in (3, (2, 2), 1)]
    parameters[0].grad = torch.arange(3.0) * (processes.rank + 1)
    parameters[1].grad = torch.full((2, 2), float(processes.rank))
    processes.average_gradients(parameters)
    mean = [torch.arange(3.0) * (processes.count + 1) / 2, torch.full((2, 2), (processes.count - 1) / 2)]
    assert all(torch.equal(parameter.grad, wanted) for parameter, wanted in zip(parameters, mean, strict=False))
    assert parameters[2].grad is None


@pytest.mark.parametrize("count", [1, 2])
def test_gradients_are_averaged_where_they_lie(count):
    assert in_processes(count, average) == [0] * count


def run_loop(prepared: Files, processes: Processes, folder: Path, interrupted_after: int = 0) -> None:
    """Train with dropout; a SIGTERM to the last process alone stops all after the same step."""
    learner = make_learner(prepared, dropout=0.2)
    learner.distribute(processes)
    processes.seed_apart(1)
    step = learner.step

    def step_then_signal(rate: float, spent: float) -> torch.Tensor:
        loss = step(rate, spent)
        if learner.optimizers[0].state_dict()["state"][0]["step"] == interrupted_after:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss

    if processes.rank == processes.count - 1:
        learner.step = step_then_signal
    silent = {"report": lambda event: None, "warn": lambda message: None}
    try:
        loop.run(learner, SETTINGS, folder, {"processes": processes.count}, **silent, processes=processes)
        assert not interrupted_after
    except Interrupted as error:
        assert f"step {interrupted_after};" in str(error)


@pytest.mark.parametrize("count", [2, 3])
def test_an_interrupted_run_ends_bit_for_bit_as_without_it(prepared, tmp_path, count):
    for folder, after in (("whole", 0), ("cut", 5), ("cut", 0)):
        where = tmp_path / folder
        codes = in_processes(count, lambda those, w=where, a=after: run_loop(prepared, those, w, a))
        assert codes == [0] * count
        steps = sorted(int(path.name[-8:]) for path in where.glob("checkpoint-*"))
        assert steps == ([4, 5] if after else [8, 12])
    for name in ("weights", "best", "state"):
        whole, cut = (load_file(tmp_path / f / "checkpoint-00000012" / f"{name}.safetensors") for f in ("whole", "cut"))
        assert whole.keys() == cut.keys()
        assert all(torch.equal(whole[key], cut[key]) for key in whole)
    assert whole["carried.h"].shape == (2, 6, 8)
    assert not torch.equal(whole["random.cpu"], whole["random.cpu.1"])


# --- the command line -------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config of prepared data: 100 steps, about a second in two processes, with checkpoints all along."""
    (tmp_path / "text.txt").write_text(tiny_text(), encoding="utf-8")
    path = tmp_path / "tiny.yaml"
    write_tiny_config(path, tmp_path / "text.txt", tmp_path / "run")
    settings = "steps: 100, checkpoint_steps: 10, validation_steps: 50, patience: 0"
    path.write_text(path.read_text().replace("steps: 5", settings).replace("dropout: 0.0", "dropout: 0.2"))
    prepare(experiments.load(path))
    return path


def commands(folder: Path, *words: str) -> list[tuple]:
    """`llmkit WORDS` in two processes: exit code, standard output and standard error of each."""

    def one(processes: Processes) -> None:
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / f"{processes.rank}.{name}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), stream)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        sys.argv = ["llmkit", *words]
        cli.main()

    codes = in_processes(2, one, joined=False)
    said = [[(folder / f"{rank}.{name}").read_text() for name in ("out", "err")] for rank in range(2)]
    return [(code, *texts) for code, texts in zip(codes, said, strict=True)]


def test_process_0_alone_speaks_and_writes(config, tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.1)
    words = "train", str(config), "train.steps=4", "--json"
    for up_to_date in (None, True):
        first, other = commands(tmp_path, *words)
        found = json.loads(first[1])
        assert (first[0], found["steps"], found["processes"], found.get("up_to_date")) == (0, 4, 2, up_to_date)
        assert other == (0, "", "")
    assert json.loads(commands(tmp_path, *words, "--force", "--dry-run")[0][1])["would_run"] == ["--force"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "CONFIG", "train.batch_size=5"], "set train.batch_size=6"),
        (["train", "CONFIG", "train.batchsize=4"], "did you mean batch_size"),
        (["train", "CONFIG", "--no-such-option"], "No such option"),
        (["tune", "CONFIG"], "start it without torchrun"),
    ],
)
def test_mistakes_are_said_once(config, tmp_path, words, says):
    words = [str(config) if word == "CONFIG" else word for word in words]
    (code, out, err), other = commands(tmp_path, *words, "--json")
    assert (code, json.loads(out)["error"]["code"], err.count("error: ")) == (2, 2, 1)
    assert says in err
    assert other == (0, "", "")


def test_a_killed_process_0_is_spoken_for_by_another(config, tmp_path, monkeypatch):
    step = LanguageLearner.step

    def step_or_die(learner: LanguageLearner, rate: float, spent: float) -> torch.Tensor:
        if learner.processes.leads and learner.count > 2000:  # after the first checkpoint
            os.kill(os.getpid(), signal.SIGKILL)
        return step(learner, rate, spent)

    monkeypatch.setattr(LanguageLearner, "step", step_or_die)
    first, (code, out, err) = commands(tmp_path, "train", str(config), "--json")
    assert first[:2] == (-signal.SIGKILL, "")
    assert (code, out) == (130, "")
    assert err.startswith("error: process 1 of 2: the training stopped: another of its 2 processes was killed")
    assert "the same command goes on from the last checkpoint" in err


def torchrun(config: Path, *words: str, environment: dict[str, str] | None = None) -> subprocess.Popen:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "llmkit", "train", str(config), "--json", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def workers(launcher: subprocess.Popen) -> dict[int, int]:
    """Process ids of a launcher's workers by rank."""
    found = {}
    for pid in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split():
        variables = Path(f"/proc/{pid}/environ").read_text().split("\0")
        found |= {int(text.removeprefix("RANK=")): int(pid) for text in variables if text.startswith("RANK=")}
    return found


def test_a_killed_process_ends_the_run_which_goes_on_and_ends_as_without_it(config, tmp_path):
    run_dir = tmp_path / "run"
    in_processes(2, lambda those: train(experiments.load(config), processes=those) and None)
    whole = (run_dir / "model" / "model.safetensors").read_bytes()
    (run_dir / "model").rename(tmp_path / "whole")

    def checkpoints() -> set[Path]:
        return set((run_dir / "work" / "train").glob("checkpoint-*"))

    launcher = torchrun(config)
    while launcher.poll() is None and not list((run_dir / "work" / "train").glob("checkpoint-*")):
        time.sleep(0.01)
    pids = workers(launcher)
    os.kill(pids[1], signal.SIGKILL)
    killed = time.monotonic()
    out, err = launcher.communicate(timeout=60)
    assert time.monotonic() - killed < 15
    assert launcher.returncode != 0
    assert err.count("error: the training stopped: another of its 2 processes was killed") == 1
    assert json.loads(out)["error"]["code"] == 130
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert not (run_dir / "model").exists()
    with pytest.raises(InputError, match="(?s)other settings.*processes: 2 → unset.*--fresh"):
        train(experiments.load(config))
    (code, out, err), other = commands(tmp_path, "train", str(config), "--json")
    assert (code, json.loads(out)["steps"], other) == (0, 100, (0, "", ""))
    assert "going on from step" in err
    assert (run_dir / "model" / "model.safetensors").read_bytes() == whole


@pytest.mark.skipif(gpus.count() < 2, reason="needs two GPUs")
def test_two_gpus(config):
    launcher = torchrun(config, "--device", "cuda", "train.steps=20", environment=gpus.environment())
    out, _ = launcher.communicate(timeout=120)
    found = json.loads(out)
    assert (found["steps"], found["device"], found["processes"]) == (20, "cuda", 2)


# --- the environment --------------------------------------------------------------------------------------------


def test_what_torchrun_tells(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert distributed.launched() == distributed.ALONE
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert distributed.launched() == distributed.ALONE  # some schedulers set it alone
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert distributed.launched() == Processes(rank=3, count=4, local_rank=1, local_count=2)
    assert [Processes(rank, 4).part(6) for rank in range(4)] == [slice(0, 1), slice(1, 3), slice(3, 4), slice(4, 6)]
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert distributed.launched() == distributed.ALONE


def test_processes_share_the_processors(monkeypatch):
    monkeypatch.setattr(distributed, "usable_processors", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as torchrun sets it
    assert [distributed.own_threads(count) for count in (2, 3, 16)] == [4, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert distributed.own_threads(2) is None
