"""The server as a process: keys from the command line, a real port, an end that loses nothing."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import llmkit as package
from llmkit.errors import ConfigError, InputError
from llmkit.serving import run
from llmkit.serving.run import Place


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Running:
    """A server of the small language model."""

    def __init__(self, folder, model, *more):
        self.port, self.folder = free_port(), folder
        words = ["serve", f"tiny={model}", "--port", str(self.port), "--keys", str(folder / "keys.json"), *more]
        source = Path(package.__file__).parents[1]
        environment = os.environ | {"PYTHONPATH": str(source)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "llmkit", *words], stderr=subprocess.PIPE, text=True, env=environment, cwd=folder
        )
        self.said = []
        for line in self.process.stderr:
            self.said.append(line)
            if line.startswith("serving on"):
                return
        raise AssertionError("".join(self.said))

    def ask(self, method, path, body=None, key=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data


def test_keys_of_the_command_line(llmkit, tmp_path):
    file = tmp_path / "keys.json"
    ran = llmkit("serve", "--keys", file, "--new-key", "ada", "--may", "use,metrics", "--limit", "60/minute")
    assert ran.code == 0 and ran.out.startswith("llmkit-") and ran.out.count("\n") == 1
    assert "cannot be read again" in ran.err and ran.out.strip() not in file.read_text()
    assert llmkit("serve", "--keys", file, "--new-key", "ada").code == 2
    assert llmkit("serve", "--keys", file, "--revoke-key", "ada").code == 0
    assert llmkit("serve", "--keys", file, "--revoke-key", "ada").code == 3
    assert llmkit("serve", "--keys", file).code == 2  # no model


def test_a_server_from_its_start_to_its_end(llmkit, tiny_run, tmp_path):
    """Without a key nobody is let in; SIGTERM answers what runs; idle connections keep nobody out."""
    key = llmkit("serve", "--keys", tmp_path / "keys.json", "--new-key", "ada").out.strip()
    running = Running(tmp_path, tiny_run.model, "--audit", str(tmp_path / "audit.jsonl"))
    try:
        assert running.ask("GET", "/healthz")[0] == 200
        assert running.ask("GET", "/v1/models")[0] == 401
        assert json.loads(running.ask("GET", "/v1/models", key=key)[1])["data"][0]["id"] == "tiny"
        idle = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(200)]
        for one in idle[:100]:
            one.sendall(b"GET /v1/models HTTP/1.1\r\nX: ")  # never ended
        assert running.ask("GET", "/v1/models", key=key)[0] == 200
        smuggled = (
            b"POST /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as one:
            one.sendall(smuggled + b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
            assert one.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))
        found = []
        body = {"prompt": "the ", "max_tokens": 400, "seed": 1}
        asking = [
            threading.Thread(target=lambda: found.append(running.ask("POST", "/v1/completions", body, key)))
            for _ in range(4)
        ]
        for one in asking:
            one.start()
        time.sleep(0.3)
        for one in idle:
            one.close()
        running.process.send_signal(signal.SIGTERM)
        for one in asking:
            one.join()
        assert running.process.wait(timeout=30) == 0
        answered = [json.loads(data)["choices"][0]["finish_reason"] for status, data in found if status == 200]
        assert len(answered) == 4
    finally:
        running.process.kill()
        running.process.wait()
        running.process.stderr.close()
    log = (tmp_path / "audit.jsonl").read_text()
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o077 == 0
    assert log.count('"/v1/completions"') == 4 and "the " not in log and key not in log


def test_it_does_not_stand_open(tmp_path):
    with pytest.raises(ConfigError, match="is open to others, and there are no keys"):
        run.check(Place("0.0.0.0"), None)
    run.check(Place("localhost"), None)
    with pytest.raises(ConfigError, match="belong together"):
        run.check(Place(certificate=tmp_path), None)
    (tmp_path / "c.pem").write_text("no certificate")
    with pytest.raises(InputError, match="are no certificate and key"):
        run.check(Place(certificate=tmp_path / "c.pem", private_key=tmp_path / "c.pem"), None)


def test_a_port_that_is_taken_is_told(llmkit, tiny_run, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = llmkit("serve", tiny_run.model, "--port", taken.getsockname()[1], "--keys", tmp_path / "none.json")
    assert ran.code == 2 and "name another --port" in ran.error


def test_names_of_models(llmkit, tiny_run, tmp_path):
    from llmkit.serving.served import name_of, named

    assert name_of(Path("/runs/credit/model")) == "credit"
    assert name_of(Path("/runs/credit/compressed/int8")) == "credit-int8"
    assert name_of(Path("/models/mine")) == "mine"
    with pytest.raises(ConfigError, match="two models are called 'a'"):
        named([("a", 1), ("a", 2)])
    ran = llmkit("serve", tiny_run.model, tiny_run.model)
    assert ran.code == 2 and "write NAME=FOLDER" in ran.error
    ran = llmkit("serve", tmp_path / "nothing", "--keys", tmp_path / "none.json")
    assert ran.code == 3
