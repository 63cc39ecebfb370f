"""Completions of a small model by its `Writer`, as OpenAI's clients know them: what the model writes by itself."""

import asyncio
import json

import pytest

import llmkit
from serving.conftest import ask, call

PATH = "/v1/completions"


def events(reply):
    parts = reply.body.decode().strip().split("\n\n")
    assert all(part.startswith("data: ") for part in parts) and parts[-1] == "data: [DONE]"
    return [json.loads(part[6:]) for part in parts[:-1]]


def test_a_text_is_what_the_model_writes_by_itself(writing_wall, tiny_run):
    body = {"model": "tiny", "prompt": "the ", "max_tokens": 20, "seed": 5, "temperature": 0.7}
    found = ask(writing_wall, "POST", PATH, body).json
    [choice] = found["choices"]
    alone = llmkit.load(tiny_run.model).generate("the ", seed=5, max_tokens=20, temperature=0.7, top_p=1.0)
    assert choice["text"] == alone and choice["finish_reason"] in ("stop", "length")
    assert found["object"] == "text_completion" and found["usage"]["completion_tokens"] <= 20
    assert found["usage"]["total_tokens"] == found["usage"]["prompt_tokens"] + found["usage"]["completion_tokens"]


def test_a_streamed_text_is_the_same(writing_wall):
    body = {"prompt": "the ", "max_tokens": 20, "seed": 5, "n": 2, "echo": True}
    whole = ask(writing_wall, "POST", PATH, body).json["choices"]
    reply = ask(writing_wall, "POST", PATH, body | {"stream": True, "stream_options": {"include_usage": True}})
    assert reply.headers["content-type"].startswith("text/event-stream")
    *pieces, usage = events(reply)
    texts, reasons = ["", ""], [None, None]
    for event in pieces:
        [choice] = event["choices"]
        texts[choice["index"]] += choice["text"]
        reasons[choice["index"]] = choice["finish_reason"]
    assert texts == [choice["text"] for choice in whole] and texts[0].startswith("the ")
    assert reasons == [choice["finish_reason"] for choice in whole] and usage["usage"]["completion_tokens"] > 0


def test_texts_of_several_callers_are_written_side_by_side_and_do_not_mix(writing_wall):
    bodies = [{"prompt": "abc"[: k % 4], "max_tokens": 5 + k, "seed": k, "temperature": 1.0} for k in range(8)]
    alone = [ask(writing_wall, "POST", PATH, body).json["choices"][0]["text"] for body in bodies]

    async def together():
        return await asyncio.gather(*(call(writing_wall, "POST", PATH, body) for body in bodies))

    assert [reply.json["choices"][0]["text"] for reply in asyncio.run(together())] == alone


def test_log_probabilities_of_the_tokens(writing_wall):
    body = {"prompt": "the ", "max_tokens": 6, "temperature": 0, "logprobs": 2}
    [choice] = ask(writing_wall, "POST", PATH, body).json["choices"]
    found = choice["logprobs"]
    assert "".join(found["tokens"]).startswith(choice["text"])
    for token, value, top in zip(found["tokens"], found["token_logprobs"], found["top_logprobs"], strict=True):
        assert len(top) == 2 and value == max(top.values()) and top[token] == value <= 0  # greedy: the likeliest
    assert found["text_offset"][0] == 0


def test_stop_strings_end_a_text(writing_wall):
    plain = ask(writing_wall, "POST", PATH, {"prompt": "the ", "max_tokens": 30, "temperature": 0}).json["choices"][0]
    stop = plain["text"][3:5]
    [choice] = ask(
        writing_wall, "POST", PATH, {"prompt": "the ", "max_tokens": 30, "temperature": 0, "stop": stop}
    ).json["choices"]
    assert choice["text"] == plain["text"][: plain["text"].index(stop)] and choice["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"prompt": 5}, "`prompt` is a text"),
        ({"prompt": []}, "`prompt` is a text"),
        ({"prompt": [[1, 2]]}, "`prompt` is a text"),
        ({"prompt": "x" * 1_000_000}, "more than 200,000 characters"),
        ({"prompt": "a", "n": 65}, "`n` is a whole number from 1 to 64"),
        ({"prompt": ["a"] * 10, "n": 10}, "100 texts are too many"),
        ({"prompt": "a", "max_tokens": 10**9}, "`max_tokens` is a whole number"),
        ({"prompt": "a", "temperature": "hot"}, "`temperature` is a number"),
        ({"prompt": "a", "temperature": True}, "`temperature` is a number"),
        ({"prompt": "a", "stop": ["x"] * 17}, "`stop` is a text or a list"),
        ({"prompt": "a", "stop": [5]}, "`stop` is a text or a list"),
        ({"prompt": "a", "stream": "yes"}, "`stream` is true or false"),
        ({"prompt": "a", "best_of": 3}, "`best_of` is not offered"),
        ({"prompt": "a", "top_k": "many"}, "top_k"),
        ({"prompt": "a", "colour": 1}, "unknown key 'colour'"),
    ],
)
def test_what_cannot_be_written_is_refused(writing_wall, body, says):
    reply = ask(writing_wall, "POST", PATH, body)
    assert reply.status == 400 and says in reply.message


def test_who_goes_away_stops_the_writing(writing_wall):
    """A streamed answer that is not read to its end: the text leaves the batch."""
    from llmkit.serving import completions
    from llmkit.serving.app import App

    app: App = writing_wall.within.routes[0].endpoint.__self__
    served = app.models["tiny"]

    async def begin_and_leave():
        ask_for = completions.wanted({"prompt": "a", "max_tokens": 8000})
        pieces = await completions.pieces(served, ask_for)
        await anext(pieces)
        await pieces.aclose()
        for _ in range(500):
            if not served.writer._streams.active:
                return True
            await asyncio.sleep(0.01)
        return False

    assert asyncio.run(begin_and_leave())
