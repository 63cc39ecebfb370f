"""Number types by what eight kinds of processors say of themselves, and the sentence where a measurement disagrees."""

import pytest
import torch

from llmkit.errors import ConfigError
from llmkit.training import devices, processors
from llmkit.training.processors import Processor

SKYLAKE = "fpu sse2 avx avx2 avx512f"
INTEL = f"{SKYLAKE} avx512_vnni"


@pytest.mark.parametrize(
    ("vendor", "flags", "faster", "computes"),
    [
        ("GenuineIntel", f"{INTEL} avx512_bf16 amx_bf16 amx_tile amx_int8", True, True),  # Sapphire Rapids
        ("GenuineIntel", f"{INTEL} avx512_bf16", False, True),  # Cooper Lake, or AMX not offered
        ("GenuineIntel", INTEL, False, False),  # Ice Lake
        ("GenuineIntel", "fpu sse2 avx avx2", False, False),  # Haswell
        ("AuthenticAMD", f"{INTEL} avx512_bf16", True, True),  # Zen 4
        ("AuthenticAMD", "fpu sse2 avx avx2", False, False),  # Zen 2
        ("HygonGenuine", f"{INTEL} avx512_bf16", True, True),
        ("", "fp asimd bf16 sve", False, False),  # Graviton 3: torch's kernels for it are not these
    ],
)
def test_the_number_type_by_vendor_and_flags(monkeypatch, vendor, flags, faster, computes):
    about = Processor("some", vendor, frozenset(flags.split()))
    assert (about.bfloat16_is_faster, about.computes_in_bfloat16) == (faster, computes)
    monkeypatch.setattr(processors, "this", lambda: about)
    cpu = torch.device("cpu")
    assert devices.number_type("auto", cpu) == (torch.bfloat16 if faster else torch.float32)
    assert devices.number_type("float32", cpu) == torch.float32
    if computes:
        assert devices.number_type("bfloat16", cpu) == torch.bfloat16
    else:
        with pytest.raises(ConfigError, match="this processor does not compute in bfloat16; set it to auto or float32"):
            devices.number_type("bfloat16", cpu)


def test_the_first_processor_of_the_file_is_read():
    text = (
        "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9R14\nflags\t\t: fpu avx512_bf16\n\n"
        "processor\t: 1\nvendor_id\t: other\n"
    )
    assert processors.parse(text) == Processor("AMD EPYC 9R14", "AuthenticAMD", frozenset({"fpu", "avx512_bf16"}))
    arm = "processor\t: 0\nFeatures\t: fp asimd bf16\n"
    assert processors.parse(arm) == Processor("unknown", "", frozenset({"fp", "asimd", "bf16"}))


def test_a_far_faster_type_is_told():
    speeds = {torch.float32: 259e9, torch.bfloat16: 140e9}
    assert processors.slower_choice(torch.bfloat16, speeds) == (
        "matrix products are 1.9 times as fast in float32 as in bfloat16 on this processor; to train in it, set "
        "train.number_type: float32"
    )
    assert processors.slower_choice(torch.float32, speeds) is None
    assert processors.slower_choice(torch.bfloat16, {torch.float32: 130.0, torch.bfloat16: 100.0}) is None


def test_both_types_are_measured():
    found = processors.speeds(seconds=0.0)
    assert set(found) == {torch.float32, torch.bfloat16} and min(found.values()) > 0
