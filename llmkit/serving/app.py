"""The application: routes over the models, within the wall of `access.py`."""

import asyncio
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, TextIO

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.serving import bodies, completions, openapi
from llmkit.serving.access import Refused, Wall, error_body
from llmkit.serving.batching import Busy
from llmkit.serving.figures import Figures
from llmkit.serving.keys import Keys
from llmkit.serving.served import COMPLETIONS, EXPLAIN, Served

PAGE = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
RETRY = {"retry_after": "1"}


class App:
    """What the routes share: the models, the figures, whether the server is ending."""

    def __init__(self, models: Mapping[str, Served], seconds: float):
        """`seconds`: that a request may take."""
        self.models, self.seconds, self.figures, self.ending = models, seconds, Figures(), False

    # --- what is known of the server ---------------------------------------------------------------------------------

    async def healthy(self, request: Request) -> Response:
        """The process runs."""
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """It takes requests: 503 while it ends."""
        return JSONResponse({"status": "ending" if self.ending else "ready"}, 503 if self.ending else 200)

    async def list_models(self, request: Request) -> Response:
        """The models, as OpenAI's clients list them."""
        created = int(self.figures.started)
        listed = [
            {"id": name, "object": "model", "created": created, "owned_by": "llmkit"} | _about(served)
            for name, served in self.models.items()
        ]
        return JSONResponse({"object": "list", "data": listed})

    async def one_model(self, request: Request) -> Response:
        """One of them."""
        name = request.path_params["name"]
        if name not in self.models:
            raise Refused(404, "there is no model of that name")
        served = self.models[name]
        about = {"id": name, "object": "model", "created": int(self.figures.started), "owned_by": "llmkit"}
        return JSONResponse(about | _about(served))

    async def metrics(self, request: Request) -> Response:
        """Figures for Prometheus."""
        waiting = {name: served.waiting for name, served in self.models.items()}
        return PlainTextResponse(self.figures.text(waiting), media_type="text/plain; version=0.0.4")

    async def described(self, request: Request) -> Response:
        """openapi.json."""
        return JSONResponse(openapi.of(self.models))

    async def page(self, request: Request) -> Response:
        """The page to try the models on, and what it is made of."""
        name, kind = PAGE[request.url.path]
        data = (files("llmkit.serving") / name).read_bytes()
        return Response(data, media_type=f"{kind}; charset=utf-8")

    # --- what models answer ------------------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Response:
        """`/v1/predict` and its like: inputs in, an answer for each out."""
        route = request.url.path.rsplit("/", 1)[1]
        body = await bodies.read(request)
        served = bodies.model_of(body, self.models, route)
        assert served.offers is not None
        inputs = bodies.inputs_of(body, many=served.takes_many)
        options = {name: value for name, value in body.items() if name in served.offers.OPTIONS}
        unknown = [name for name in body if name not in ("model", "input", "inputs", *options)]
        if unknown:
            raise Refused(400, f"unknown key {unknown[0][:40]!r}; there are: {', '.join(_keys(served))}")
        requests = [_request(served, given, number) for number, given in enumerate(inputs, 1)]
        found = await self._answers(served, requests, (route, tuple(sorted(options.items()))))
        return JSONResponse({"model": served.name, served.offers.ANSWERS: found})

    async def explain(self, request: Request) -> Response:
        """`/v1/explain`: inputs in, predictions and why out."""
        body = await bodies.read(request)
        served = bodies.model_of(body, self.models, EXPLAIN)
        assert served.offers is not None
        inputs = bodies.inputs_of(body, many=served.takes_many)
        if unknown := [name for name in body if name not in ("model", "input", "inputs")]:
            raise Refused(400, f"unknown key {unknown[0][:40]!r}; there are: model, input, inputs")
        requests = [_request(served, given, number) for number, given in enumerate(inputs, 1)]
        found = await self._answers(served, requests, (EXPLAIN, ()))
        return JSONResponse({"model": served.name, "explanations": found})

    async def complete(self, request: Request) -> Response:
        """`/v1/completions`."""
        body = await bodies.read(request)
        served = bodies.model_of(body, self.models, COMPLETIONS)
        ask = completions.wanted(body)
        self._check_open()
        try:
            if not ask.stream:
                work = completions.whole(served, ask, self.figures)
                return JSONResponse(await self._unless_gone(request, work))
            found = await completions.pieces(served, ask)
        except Busy:
            raise Refused(503, "too many texts wait; try again", **RETRY) from None
        except ConfigError as error:
            raise Refused(400, str(error)) from None
        events = completions.streamed(served, ask, found, self.figures)
        return StreamingResponse(events, media_type="text/event-stream")

    async def _answers(self, served: Served, requests: list[Any], alike: Any) -> list[Json]:
        """What a model makes of requests, together with those of others. Raises Refused."""
        self._check_open()
        assert served.batcher is not None
        try:
            hash(alike)
        except TypeError:
            raise Refused(400, "an option is a number, a text, true or false") from None
        try:
            return await served.batcher.submit(requests, alike, self.seconds)
        except Busy:
            raise Refused(503, "too many requests wait; try again", **RETRY) from None
        except TimeoutError:
            raise Refused(504, f"no answer within {self.seconds:g} s") from None
        except (ConfigError, InputError) as error:
            raise Refused(400, str(error)) from None

    async def _unless_gone(self, request: Request, work: Any) -> Any:
        """The result of `work`, which is stopped when the caller goes away or it takes too long."""
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({task, gone}, timeout=self.seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Refused(499 if gone.done() else 504, "no answer in time")
        finally:
            for one in (task, gone):
                one.cancel()

    def _check_open(self) -> None:
        if self.ending:
            raise Refused(503, "the server is ending", **RETRY)


async def _gone(request: Request) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(0.2)


def _about(served: Served) -> Json:
    """What is told of a model beside what OpenAI's clients know."""
    return {"task": served.task, "routes": served.routes, "input": served.input}


def _request(served: Served, given: Any, number: int) -> Any:
    """One input as the model takes it. Raises Refused."""
    assert served.offers is not None
    try:
        return served.offers.request(served.model, given)
    except (InputError, ConfigError) as error:
        raise Refused(400, f"input {number}: {error}") from None


def _keys(served: Served) -> list[str]:
    assert served.offers is not None
    return ["model", "input", "inputs", *served.offers.OPTIONS]


def build(models: Mapping[str, Served], keys: Keys | None, audit: TextIO | None, seconds: float) -> tuple[Wall, App]:
    """The application within its wall, and what its routes share."""
    app = App(models, seconds)
    routes = [
        Route("/healthz", app.healthy),
        Route("/readyz", app.ready),
        Route("/metrics", app.metrics),
        Route("/openapi.json", app.described),
        Route("/v1/models", app.list_models),
        Route("/v1/models/{name}", app.one_model),
        *(Route(path, app.page) for path in PAGE),
    ]
    offered = sorted({route for served in models.values() for route in served.routes})
    own = {COMPLETIONS: app.complete, EXPLAIN: app.explain}
    routes += [Route(f"/v1/{route}", own.get(route, app.answer), methods=["POST"]) for route in offered]
    handlers: dict[Any, Any] = {HTTPException: _http_error, Exception: _broken, Refused: _refused}
    within = Starlette(routes=routes, exception_handlers=handlers)
    within.router.redirect_slashes = False
    return Wall(within, keys, app.figures, frozenset(route.path for route in routes), audit=audit), app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    headers = {name.decode(): value.decode() for name, value in error.headers}
    return _error(error.status, error.message, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = {404: "there is no such route", 405: "this route takes another method"}
    return _error(error.status_code, said.get(error.status_code, "the request cannot be answered"), error.headers)


async def _broken(request: Request, error: Exception) -> Response:
    """What went wrong is not told to who asked: it may say what others asked for."""
    return _error(500, "the model does not run", None)


def _error(status: int, message: str, headers: Mapping[str, str] | None) -> Response:
    return Response(error_body(message, status), status, headers, "application/json")
