"""Who gets in: nobody without a key, on no route; nothing of what was said in the log."""

import base64
import json

import pytest
from starlette.routing import Route

from llmkit.serving import access
from serving.conftest import ask, bearer

BODY = {"input": "hello"}


def routes(wall):
    return [(route.path, sorted(route.methods)[-1]) for route in wall.within.routes if isinstance(route, Route)]


def test_every_route_but_one_refuses_without_a_key(guarded):
    found = routes(guarded.wall)
    assert len(found) >= 9
    for path, method in found:
        reply = ask(guarded.wall, method, path, BODY if method == "POST" else None)
        assert reply.status == (200 if path == "/healthz" else 401), path
    assert ask(guarded.wall, "GET", "/no/such/route").status == 401


@pytest.mark.parametrize(
    "path", ["/healthz/", "//healthz", "/healthz/../v1/models", "/HEALTHZ", "/%68ealthz", "/healthz\0"]
)
def test_tricks_with_the_open_path_let_nobody_in(guarded, path):
    assert ask(guarded.wall, "GET", path).status == 401


def headers_of(kind, key):
    basic = base64.b64encode(f"anybody:{key}".encode()).decode()
    return {
        "none": [],
        "wrong": [("authorization", "Bearer llmkit-0000000000000000-" + "A" * 43)],
        "empty": [("authorization", "Bearer ")],
        "no kind": [("authorization", key)],
        "other header": [("x-api-key", key), ("cookie", f"authorization=Bearer {key}")],
        "twice": [("authorization", f"Bearer {key}"), ("authorization", f"Bearer {key}")],
        "two in one": [("authorization", f"Bearer x, Bearer {key}")],
        "not base64": [("authorization", "Basic ***")],
        "basic as name": [("authorization", "Basic " + base64.b64encode(f"{key}:".encode()).decode())],
        "bearer": [("authorization", f"Bearer {key}")],
        "basic": [("authorization", f"Basic {basic}")],
    }[kind]


@pytest.mark.parametrize(
    "kind", ["none", "wrong", "empty", "no kind", "other header", "twice", "two in one", "not base64", "basic as name"]
)
def test_a_key_that_is_wrong_or_in_the_wrong_place_is_refused(guarded, kind):
    given = [("host", "localhost"), ("content-type", "application/json"), *headers_of(kind, guarded.all)]
    reply = ask(guarded.wall, "POST", "/v1/predict", BODY, given)
    assert reply.status == 401 and "www-authenticate" in reply.headers
    assert guarded.all not in reply.body.decode()


@pytest.mark.parametrize("kind", ["bearer", "basic"])
def test_the_right_key_is_let_in(guarded, kind):
    given = [("host", "localhost"), ("content-type", "application/json"), *headers_of(kind, guarded.all)]
    assert ask(guarded.wall, "POST", "/v1/predict", BODY, given).json["predictions"] == [{"said": "hello"}]


def test_a_key_that_was_taken_back_is_refused_and_one_of_another_role_too(guarded):
    assert ask(guarded.wall, "GET", "/v1/models", headers=bearer(guarded.gone)).status == 401
    assert ask(guarded.wall, "GET", "/metrics", headers=bearer(guarded.user)).status == 403
    assert ask(guarded.wall, "POST", "/v1/explain", BODY, bearer(guarded.user)).status == 403
    assert ask(guarded.wall, "GET", "/metrics", headers=bearer(guarded.all)).status == 200


def test_a_limit_says_when_to_come_again(guarded):
    statuses = [ask(guarded.wall, "GET", "/v1/models", headers=bearer(guarded.user)) for _ in range(4)]
    assert [reply.status for reply in statuses] == [200, 200, 200, 429]
    assert 1 <= int(statuses[-1].headers["retry-after"]) <= 21
    assert ask(guarded.wall, "GET", "/v1/models", headers=bearer(guarded.all)).status == 200  # each key has its own


def test_the_log_says_who_and_what_came_of_it_and_never_what_was_said(guarded):
    secret = "the patient is called Ada"
    ask(guarded.wall, "POST", "/v1/predict", {"input": secret}, bearer(guarded.all))
    ask(guarded.wall, "POST", "/v1/predict", {"input": "broken"}, bearer(guarded.all))
    ask(guarded.wall, "GET", f"/v1/{secret}", headers=bearer(guarded.all))
    ask(guarded.wall, "GET", f"/v1/models/{secret}", headers=bearer(guarded.all))
    figures = ask(guarded.wall, "GET", "/metrics", headers=bearer(guarded.all)).body.decode()
    log = guarded.audit.read_text()
    for text in (log, figures):
        assert "Ada" not in text and guarded.all not in text and "secret" not in text
    lines = [json.loads(line) for line in log.splitlines()]
    assert [(line["key"], line["route"], line["status"]) for line in lines] == [
        ("all", "/v1/predict", 200),
        ("all", "/v1/predict", 500),
        ("all", "other", 404),
        ("all", "other", 404),
        ("all", "/metrics", 200),
    ]
    assert 'llmkit_requests_total{route="/v1/predict",status="500"} 1' in figures


def test_what_went_wrong_is_not_told(open_wall):
    reply = ask(open_wall, "POST", "/v1/predict", {"input": "broken"})
    assert reply.status == 500 and b"secret" not in reply.body


def test_without_keys_other_names_of_the_machine_are_refused(open_wall):
    for host, status in (("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:8000", 200), ("evil.example", 403)):
        assert ask(open_wall, "GET", "/v1/models", headers={"host": host}).status == status
    assert ask(open_wall, "GET", "/v1/models", headers=[]).status == 403
    assert ask(open_wall, "GET", "/v1/models", headers=[("host", "localhost"), ("host", "x")]).status == 403


def test_bodies_are_limited_in_size_and_time(open_wall, monkeypatch):
    open_wall.most_bytes = 1000
    assert ask(open_wall, "POST", "/v1/predict", b"x" * 1001).status == 413
    assert ask(open_wall, "POST", "/v1/predict", BODY, {"content-length": "1001"}).status == 413
    assert ask(open_wall, "POST", "/v1/predict", BODY, {"content-length": "9" * 30}).status == 413
    assert ask(open_wall, "POST", "/v1/predict", BODY, {"content-length": "-1"}).status == 413
    assert ask(open_wall, "POST", "/v1/predict", chunks=[b"x" * 600, b"x" * 600], headers=CONTENT).status == 413
    monkeypatch.setattr(access, "BODY_SECONDS", 0.05)
    reply = ask(open_wall, "POST", "/v1/predict", chunks=[b"{", b"}"], pause=0.2, headers=CONTENT)
    assert reply.status == 408


CONTENT = {"content-type": "application/json"}


def test_answers_carry_headers_that_keep_a_browser_safe(open_wall):
    for path in ("/", "/page.js", "/page.css", "/v1/models", "/nothing"):
        headers = ask(open_wall, "GET", path).headers
        assert (
            headers["x-content-type-options"] == "nosniff"
            and "default-src 'none'" in headers["content-security-policy"]
        )
    page = ask(open_wall, "GET", "/").body.decode()
    assert "http://" not in page and "https://" not in page and "<script>" not in page and "style=" not in page
