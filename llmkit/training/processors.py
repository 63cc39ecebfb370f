"""Which number type a processor computes matrix products in fastest. From what it says of itself, never from a timing.

In: vendor, flags. Out: whether bfloat16 is faster than float32. Flags alone do not tell: an Intel processor with the
AVX-512 instructions for bfloat16, but without the tiles of AMX, has them and is slower with them.

    processor                          float32   bfloat16      2 cores, products of 2048 × 2048; torch 2.13
    Intel Xeon, AVX-512 BF16 alone     259       140 GFLOP/s   nn.LSTM, hidden 448: 16,166 and 12,979 tokens/s
    AMD EPYC, AVX-512 BF16             118       290 GFLOP/s   nn.LSTM, hidden 512: 10,000 and 16,500 tokens/s

AMX computes products of bfloat16 in tiles, several times as fast as AVX-512 those of float32 (Intel's optimization
manual, chapter 20).
"""

import platform
import time
from dataclasses import dataclass
from pathlib import Path

import torch

AMD = ("AuthenticAMD", "HygonGenuine")
SIZE = 1024  # of the square matrices whose products are timed
MUCH = 1.3  # times as fast: less is the noise of a second
SECONDS = 0.3  # that each type is timed for


@dataclass(frozen=True)
class Processor:
    """What a processor says of itself."""

    name: str
    vendor: str
    flags: frozenset[str]

    @property
    def computes_in_bfloat16(self) -> bool:
        """Whether it has instructions for products of bfloat16."""
        return not self.flags.isdisjoint({"avx512_bf16", "amx_bf16"})

    @property
    def bfloat16_is_faster(self) -> bool:
        """Whether products of bfloat16 are faster on it than those of float32."""
        return "amx_bf16" in self.flags or ("avx512_bf16" in self.flags and self.vendor in AMD)


def this() -> Processor:
    """The processor of this machine; where the system does not tell, what torch finds."""
    try:
        about = parse(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        about = Processor(platform.processor() or "unknown", "", frozenset())
    found = set(about.flags)  # a system may hide flags of what it does not let programs use
    if not torch.cpu._is_avx512_bf16_supported():
        found.discard("avx512_bf16")
    if not torch.cpu._is_amx_tile_supported():
        found.discard("amx_bf16")
    return Processor(about.name, about.vendor, frozenset(found))


def parse(cpuinfo: str) -> Processor:
    """The first processor in the text of /proc/cpuinfo."""
    lines = [line.partition(":") for line in cpuinfo.split("\n\n")[0].splitlines()]
    about = {key.strip(): value.strip() for key, _, value in lines}
    flags = about.get("flags", about.get("Features", ""))
    return Processor(about.get("model name", "unknown"), about.get("vendor_id", ""), frozenset(flags.split()))


def speeds(seconds: float = SECONDS) -> dict[torch.dtype, float]:
    """FLOP/s of matrix products in float32 and in bfloat16, measured for so many seconds each."""
    found = {}
    for kind in (torch.float32, torch.bfloat16):
        a, b = torch.randn(2, SIZE, SIZE).to(kind)
        a @ b  # what is made once
        count, start = 0, time.perf_counter()
        while not count or time.perf_counter() - start < seconds:
            a @ b
            count += 1
        found[kind] = count * 2 * SIZE**3 / (time.perf_counter() - start)
    return found


def slower_choice(chosen: torch.dtype, found: dict[torch.dtype, float]) -> str | None:
    """A sentence where the other type is more than `MUCH` times as fast as the chosen one, by `speeds`."""
    other = torch.float32 if chosen == torch.bfloat16 else torch.bfloat16
    if found[other] <= MUCH * found[chosen]:
        return None
    names = {kind: str(kind).removeprefix("torch.") for kind in (chosen, other)}
    return (
        f"matrix products are {found[other] / found[chosen]:.1f} times as fast in {names[other]} as in {names[chosen]} "
        f"on this processor; to train in it, set train.number_type: {names[other]}"
    )
