"""Routes and their bodies: inputs in, answers out, through a `Batcher`; what is wrong is told."""

import asyncio
import threading

import pytest

from llmkit.serving import app as application
from serving.conftest import ask, call


def test_one_input_and_several(open_wall):
    assert ask(open_wall, "POST", "/v1/predict", {"input": "a"}).json == {
        "model": "echo",
        "predictions": [{"said": "a"}],
    }
    found = ask(open_wall, "POST", "/v1/predict", {"model": "echo", "inputs": ["a", "b"], "loud": True}).json
    assert found["predictions"] == [{"said": "a", "loud": True}, {"said": "b", "loud": True}]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"[1]", 400, "not a JSON object"),
        (b'{"input": NaN}', 400, "not JSON"),
        (b'{"input": 1e999}', 400, "not JSON"),
        (b'{"input": "a", "input": "b"}', 400, "not JSON"),
        (b'{"input": ' + b"[" * 100_000, 400, "not JSON"),
        (b'{"input": ' + b"[" * 1000 + b"]" * 1000 + b"}", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        ({}, 400, "give `input`, or `inputs`"),
        ({"input": "a", "inputs": ["b"]}, 400, "give `input`, or `inputs`"),
        ({"inputs": []}, 400, "0 elements; 1 to 1,000"),
        ({"inputs": ["a"] * 1001}, 400, "1,001 elements"),
        ({"inputs": "a"}, 400, "`inputs` is a list"),
        ({"inputs": ["a", 5]}, 400, "input 2: a text is needed"),
        ({"input": {"a": 1}}, 400, "input 1: a text is needed"),
        ({"input": "a", "colour": 1}, 400, "unknown key 'colour'"),
        ({"input": "a", "loud": [1]}, 400, "an option is a number"),
        ({"input": "wrong"}, 400, "that is wrong"),
        ({"input": "a", "model": "other"}, 404, "there are: echo"),
        ({"input": "a", "model": ["echo"]}, 404, "there are: echo"),
        ({"input": "\x00\x1b[31m" + "a" * 1_000_000}, 200, None),
    ],
)
def test_bodies(open_wall, body, status, says):
    reply = ask(open_wall, "POST", "/v1/predict", body)
    assert reply.status == status
    assert says is None or says in reply.message


def test_a_body_that_is_not_said_to_be_json_is_refused(open_wall):
    """A page elsewhere may send a form to this machine without asking, and no JSON."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert ask(open_wall, "POST", "/v1/predict", {"input": "a"}, {"content-type": kind}).status == 415


def test_methods_and_routes_that_are_not_there(open_wall):
    assert ask(open_wall, "GET", "/v1/predict").status == 405
    assert ask(open_wall, "POST", "/v1/forecast", {"input": [1]}).status == 404
    assert ask(open_wall, "GET", "/v1/models/echo").json["routes"] == ["predict"]
    assert ask(open_wall, "GET", "/v1/models/none").status == 404


def test_requests_of_one_moment_are_answered_together(echo, open_wall):
    held = threading.Event()
    echo.model.hold = held.wait

    async def several():
        calls = [call(open_wall, "POST", "/v1/predict", {"input": text}) for text in ("first", "a", "b", "wrong")]
        tasks = [asyncio.ensure_future(calls[0])]
        while not echo.model.calls:
            await asyncio.sleep(0.01)
        tasks += [asyncio.ensure_future(one) for one in calls[1:]]
        while echo.waiting < 3:
            await asyncio.sleep(0.01)
        held.set()
        return await asyncio.gather(*tasks)

    replies = asyncio.run(several())
    assert [reply.status for reply in replies] == [200, 200, 200, 400]  # one that is wrong spoils nobody's answer
    assert echo.model.calls[:2] == [["first"], ["a", "b", "wrong"]]


def test_a_full_queue_and_a_late_answer_are_told(echo):
    held = threading.Event()
    echo.model.hold = held.wait
    wall, _ = application.build({"echo": echo}, None, None, 0.3)

    async def several():
        first = asyncio.ensure_future(call(wall, "POST", "/v1/predict", {"input": "a"}))
        while not echo.model.calls:
            await asyncio.sleep(0.01)
        second = asyncio.ensure_future(call(wall, "POST", "/v1/predict", {"inputs": ["b"] * 5}))
        while echo.waiting < 5:
            await asyncio.sleep(0.01)
        third = await call(wall, "POST", "/v1/predict", {"input": "c"})
        late = [await first, await second]
        held.set()
        return late, third

    late, full = asyncio.run(several())
    assert [reply.status for reply in late] == [504, 504]
    assert full.status == 503 and full.headers["retry-after"] == "1"


def test_a_server_that_ends_takes_nothing_new(echo):
    wall, app = application.build({"echo": echo}, None, None, 5.0)
    assert ask(wall, "GET", "/readyz").status == 200
    app.ending = True
    assert ask(wall, "GET", "/readyz").status == 503
    assert ask(wall, "POST", "/v1/predict", {"input": "a"}).status == 503


def test_the_description_has_every_route_of_the_models(open_wall):
    found = ask(open_wall, "GET", "/openapi.json").json
    assert found["openapi"].startswith("3.1") and "/v1/predict" in found["paths"]
    body = found["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"model", "input", "inputs", "loud"}
    assert body["properties"]["model"]["enum"] == ["echo"]
