"""Two commands that write to one run directory: the second is refused, and told who was first."""

import subprocess
import sys
from pathlib import Path

import llmkit as package

ROOT = Path(package.__file__).parents[1]
HOLD = """
import sys
from pathlib import Path
from llmkit.store import artifacts
with artifacts.lock(Path(sys.argv[1]), "llmkit train elsewhere.yaml"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_dir_in_use_is_refused_and_its_user_named(llmkit, tiny_copy):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tiny_copy.run_dir], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for stage in ("prepare", "train", "tune", "compress"):
            ran = llmkit(stage, tiny_copy.config, "--force")
            assert ran.code == 3
            assert ran.error.startswith(f"{tiny_copy.run_dir} is in use by process {holder.pid} ")
            assert "(llmkit train elsewhere.yaml, since " in ran.error
        assert llmkit("train", tiny_copy.config).code == 0  # up to date: nothing to write
    assert llmkit("prepare", tiny_copy.config, "--force").code == 0
