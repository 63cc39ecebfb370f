"""The Dockerfile, step by step against what it names: there is no docker where the tests run.

What was tried by hand: the same `pip install` into an empty environment, the server as a user without rights or a home.
"""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

from llmkit.serving import access

ROOT = Path(__file__).parents[2]


def steps():
    """(instruction, the rest of it), lines that go on joined."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]


def of(instruction):
    return [rest for name, rest in steps() if name == instruction]


def test_what_is_copied_is_there_and_is_all_that_a_build_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    copied = [name.removeprefix("./") for rest in of("COPY") for name in rest.split()[:-1]]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert {"pyproject.toml", "constraints.txt", "llmkit", project["readme"], *project["license-files"]} <= set(copied)


def test_it_installs_the_extras_of_a_server_and_no_torch():
    [run] = of("RUN")
    [extras] = re.findall(r"'\.\[([a-z,]+)\]'", run)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known) and "serve" in extras and "train" not in extras
    assert "-c constraints.txt" in run and "--no-cache-dir" in run
    [base] = of("FROM")
    version = tuple(map(int, re.findall(r"python:(\d+)\.(\d+)-slim", base)[0]))
    assert version >= (3, 11)  # requires-python


def test_it_runs_as_the_user_that_it_makes_and_who_owns_the_keys():
    [run], [user] = of("RUN"), of("USER")
    order = [name for name, _ in steps()]
    assert order.index("RUN") < order.index("USER") < order.index("ENTRYPOINT")
    assert re.search(rf"useradd .*--uid [1-9]\d+ .*\b{user}\b", run) and f"chown {user} /keys" in run
    assert of("WORKDIR")[-1] == "/keys"


def test_its_commands_are_those_of_llmkit():
    [entry], [health], [port] = of("ENTRYPOINT"), of("HEALTHCHECK"), of("EXPOSE")
    words = json.loads(entry)
    assert words[:2] == ["llmkit", "serve"] and words[words.index("--host") + 1] == "0.0.0.0"
    said = subprocess.run(
        [sys.executable, "-m", "llmkit", *words[1:2], "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert said.returncode == 0
    assert [word for word in words[2:] if word.startswith("--") and word not in said.stdout] == []
    code = shlex.split(health)[-1]
    compile(code, "HEALTHCHECK", "exec")
    assert f":{port}{access.OPEN}'" in code and str(port) in said.stdout
    assert of("STOPSIGNAL") == ["SIGTERM"]
