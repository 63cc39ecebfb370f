"""Which device trains, in which number type. Decided from flags, never from a timing."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.utils.deterministic

from llmkit.errors import ConfigError
from llmkit.training import processors


@dataclass(frozen=True)
class Hardware:
    """What a training computes with: a device, and the type of its matrix products."""

    device: torch.device
    number_type: torch.dtype = torch.float32

    def autocast(self, enabled: bool = True) -> torch.autocast:
        """Within it, matrix products are computed in `number_type`."""
        return torch.autocast(self.device.type, self.number_type, enabled=enabled and self.number_type != torch.float32)


def choose(name: str) -> torch.device:
    """auto: CUDA where there is one, else the CPU. Raises ConfigError when cuda is asked for and there is none."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("--device cuda: no CUDA device is available to torch; use --device cpu")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and available) else "cpu")


@contextmanager
def explained_memory(batch_size: int, model: Mapping[str, object]) -> Iterator[None]:
    """Turns torch's out-of-memory error into a ConfigError that says what to lower."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        sizes = ", ".join(f"model.{key} {value}" for key, value in model.items() if isinstance(value, int))
        raise ConfigError(f"not enough memory for train.batch_size {batch_size} and {sizes}; lower them") from error


@contextmanager
def exact(device: torch.device, wanted: bool = True) -> Iterator[None]:
    """Where `wanted`, a GPU computes the same bytes each time within the block; a CPU does so anyway.

    cuDNN and cuBLAS are held to algorithms without races (for cuBLAS `llmkit/training/__init__.py` sets its workspace,
    which has to be before CUDA starts); what torch has no such algorithm for says so once, as a warning.
    """
    if device.type != "cuda" or not wanted:
        yield
        return
    cudnn = torch.backends.cudnn
    memory: Any = torch.utils.deterministic  # whose attribute is unknown to type checkers
    fills = memory.fill_uninitialized_memory
    before = torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    cudnn.deterministic, cudnn.benchmark = True, False
    memory.fill_uninitialized_memory = False  # a launch for each new tensor, which we do not read unwritten
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        cudnn.deterministic, cudnn.benchmark = before[1:]
        memory.fill_uninitialized_memory = fills


def given(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """A numpy array on the device. A GPU fetches it from memory that stays in place, while the program goes on."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Denormal numbers count as zero within the block: they can slow an LSTM many times.

    Only there, since it holds for the whole thread: checks such as "greater than 0" of other libraries break on it.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def number_type(name: str, device: torch.device) -> torch.dtype:
    """The type of the matrix products; auto: bfloat16 where the processor is faster in it (`processors.py`)."""
    if name == "auto":
        fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else processors.this().bfloat16_is_faster
        return torch.bfloat16 if fast else torch.float32
    if name == "bfloat16" and device.type == "cpu" and not processors.this().computes_in_bfloat16:
        raise ConfigError("train.number_type: this processor does not compute in bfloat16; set it to auto or float32")
    return getattr(torch, name)


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory this process has held so far (of the GPU, on CUDA)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
