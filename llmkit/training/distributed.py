"""Several processes that train one model: who they are, what they agree on, how their run ends.

In: what `torchrun` tells each process in its environment. Out: `Processes`, which the loop, the checkpoints and the
learners ask; one process alone is `ALONE`, and nothing of torch.distributed is imported for it. Numbers and states go
over gloo, from CPU to CPU, so that a process that died is noticed at once; gradients over NCCL where there is CUDA.
Left out: starting processes and telling which one died, the work of torchrun.
"""

import os
import re
import signal
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from llmkit.errors import ConfigError, Interrupted, LlmkitError, OfOneProcess
from llmkit.runtime.processors import usable_processors

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.distributed import Store

# The longest that processes wait for each other: while process 0 hashes its inputs or writes a checkpoint. One that
# died is noticed at once, by its closed connections; only one that hangs is waited for so long.
WAIT_MINUTES = 10
TELLING_SECONDS = 2.0  # that process 0 has for its message before another one speaks in its place

LOST = (
    "the training stopped: another of its {count} processes was killed, failed or does not answer (torchrun reports "
    "which one); the same command goes on from the last checkpoint"
)
# What gloo, NCCL and the store say of a process that is gone.
_LOST = re.compile(r"gloo|nccl|connection|broken pipe|socket|peer|timed out", re.IGNORECASE)


@dataclass
class Processes:
    """The processes of a training, as one of them sees them: `rank` is its number, from 0, `count` how many there are.

    Process 0 leads: it alone writes and speaks. The methods that exchange something must be called in all processes.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1
    begun: bool = False
    _store: "Store | None" = field(default=None, repr=False)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def part(self, length: int) -> slice:
        """This process's part of `length` things, as equal as can be."""
        return slice(self.rank * length // self.count, (self.rank + 1) * length // self.count)

    def sum(self, *values: float) -> tuple[float, ...]:
        """The sums of all processes' values: the same bits in each."""
        if self.count == 1:
            return values
        import torch
        import torch.distributed as dist

        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return tuple(total.tolist())

    def gather(self, tensor: "Tensor") -> list["Tensor"]:
        """The tensors, of one shape, of all processes in their order, on the CPU; of one alone as it is."""
        if self.count == 1:
            return [tensor]
        import torch
        import torch.distributed as dist

        own = tensor.detach().to("cpu").contiguous()
        gathered = [torch.empty_like(own) for _ in range(self.count)]
        dist.all_gather(gathered, own)
        return gathered

    def average_gradients(self, parameters: "Iterable[torch.nn.Parameter]") -> None:
        """The mean of all processes' gradients in place of each: for networks that `averaging` cannot wrap."""
        if self.count == 1:
            return
        import torch
        import torch.distributed as dist

        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(together)
        parts = (together / self.count).split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def begin(self, wanted: bool = True) -> bool:
        """Whether to train: process 0 says it, the others wait for it."""
        self.begun = True
        [votes] = self.sum(float(wanted and self.leads))
        return votes > 0

    def own_device(self, device: "torch.device") -> "torch.device":
        """This process's own one of the devices of a kind. Raises ConfigError where there are too few GPUs."""
        if self.count == 1 or device.type != "cuda":
            return device
        import torch

        if self.local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"{self.local_count} processes on {torch.cuda.device_count()} CUDA devices; start one for each device, "
                "or set --device cpu"
            )
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def seed_apart(self, seed: int) -> None:
        """Random states that differ between the processes, so that their dropout does; process 0 keeps its own."""
        if self.rank:
            import numpy as np
            import torch

            torch.manual_seed(int(np.random.SeedSequence([seed, self.rank]).generate_state(1)[0]))


ALONE = Processes()


def launched() -> Processes:
    """The processes that torchrun started, this one among them; ALONE where it did not, or started one only."""
    place = {name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")}
    if not (place["RANK"].isdigit() and place["WORLD_SIZE"].isdigit() and int(place["WORLD_SIZE"]) > 1):
        return ALONE
    return Processes(
        int(place["RANK"]),
        int(place["WORLD_SIZE"]),
        int(place["LOCAL_RANK"] or place["RANK"]),
        int(place["LOCAL_WORLD_SIZE"] or place["WORLD_SIZE"]),
    )


@contextmanager
def joined(processes: Processes) -> Iterator[Processes]:
    """The processes connected with each other for the length of the block.

    An error in process 0 leaves the block as it is; a process that is gone makes it Interrupted. In another process it
    becomes OfOneProcess where process 0 does not know of it (or is gone), else SystemExit(0): process 0 speaks of it.
    After an error Ctrl-C and SIGTERM are ignored: nothing is left to do but to say it and end.
    """
    if processes.count == 1:
        yield processes
        return
    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    wait = timedelta(minutes=WAIT_MINUTES)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    try:
        with _signals_end_at_once():
            store, *_ = next(iter(rendezvous("env://", processes.rank, processes.count, timeout=wait)))
            processes._store = dist.PrefixStore("llmkit", store)
            among = dist.PrefixStore("group", processes._store)
            dist.init_process_group(backend, timeout=wait, rank=processes.rank, world_size=processes.count, store=among)
        if threads := own_threads(processes.local_count):
            torch.set_num_threads(threads)
        yield processes
        if not processes.begun:
            processes.begin(False)  # the others wait to hear whether to train
        dist.destroy_process_group()
    except BaseException as error:
        problem = _explained(error, processes.count)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # on its way out; torchrun sends one to whoever is left
        if processes.leads:
            if processes._store is not None:
                with suppress(RuntimeError):
                    processes._store.set("told", "yes")
            raise problem from error
        if _leader_speaks(processes):
            raise SystemExit(0) from error
        name = "" if isinstance(problem, LlmkitError) else f"{type(problem).__name__}: "
        code = problem.exit_code if isinstance(problem, LlmkitError) else 1
        raise OfOneProcess(f"process {processes.rank} of {processes.count}: {name}{problem}", code) from error


def averaging(network: "torch.nn.Module", *example: object) -> "torch.nn.Module":
    """`network`, such that a backward pass leaves the mean of all processes' gradients; its weights are process 0's.

    `example`: inputs of a pass whose first output is a tensor. DistributedDataParallel orders what it sends anew after
    the first backward pass. That one is done here: else three processes would add in another order in the first step
    after a resumption than without it, and end with other bits.
    """
    from torch.nn.parallel import DistributedDataParallel

    with warnings.catch_warnings():  # torch 2.13 has a new name for broadcast_buffers, which older ones do not know
        warnings.simplefilter("ignore", FutureWarning)
        replica = DistributedDataParallel(network, broadcast_buffers=False)  # none of them changes
    replica(*example)[0].sum().backward()
    network.zero_grad(set_to_none=True)
    return replica


def own_threads(local_count: int) -> int | None:
    """Threads for each of `local_count` processes of one machine: its share of the processors.

    None where OMP_NUM_THREADS says more than 1: that is the user's. 1 is what torchrun sets where nobody did.
    """
    if os.environ.get("OMP_NUM_THREADS", "1") != "1":
        return None
    return max(1, usable_processors() // local_count)


def _explained(error: BaseException, count: int) -> BaseException:
    """The error, or Interrupted in its place where it means that another process is gone or this one is to end."""
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted")
    if isinstance(error, RuntimeError) and _LOST.search(str(error)):
        return Interrupted(LOST.format(count=count))
    return error


def _leader_speaks(processes: Processes) -> bool:
    """Whether process 0 says why the run ends: it is given a moment to begin."""
    end = time.monotonic() + TELLING_SECONDS
    with suppress(RuntimeError):  # the store may be gone with process 0
        while time.monotonic() < end:
            if processes._store is not None and processes._store.check(["told"]):
                return True
            time.sleep(0.05)
    return False


@contextmanager
def _signals_end_at_once() -> Iterator[None]:
    """Waiting for the others happens outside of Python, where its handlers are not called; nothing is lost yet."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
