"""Processes that train as one, without torchrun: forks of this one, which torch is loaded in already."""

import multiprocessing
import os
from collections.abc import Callable

import torch.distributed as dist
from forks import forking

from llmkit.training import distributed
from llmkit.training.distributed import Processes


def in_processes(count: int, work: Callable[[Processes], None], *, joined: bool = True) -> list[int | None]:
    """Run `work` in forked processes that know each other; returns their exit codes."""
    store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)

    def one(rank: int) -> None:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank)}
        os.environ |= {"LOCAL_WORLD_SIZE": str(count), "TORCHELASTIC_USE_AGENT_STORE": "True"}
        os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(store.port)}
        if not joined:
            return work(distributed.launched())
        with distributed.joined(distributed.launched()) as processes:
            work(processes)

    started = [multiprocessing.get_context("fork").Process(target=one, args=(rank,)) for rank in range(count)]
    with forking():
        for process in started:
            process.start()
    for process in started:
        process.join(60)
        process.kill()
    return [process.exitcode for process in started]
