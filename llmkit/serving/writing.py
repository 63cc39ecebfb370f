"""One thread that writes the texts of all callers side by side: whoever comes joins the batch at the next token."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from llmkit.serving.batching import Busy

MOST_ACTIVE = 64  # texts written side by side


class Writes(Protocol):
    """What a model offers that writes texts (`tasks.language.use.LanguageModel`)."""

    encoder: Any

    def chosen(self, options: Mapping[str, object]) -> Any:
        """How texts are written, from keyword options. Raises ConfigError."""

    def streams(self) -> Any:
        """An empty set of texts, written side by side."""

    def begin(self, prompts: Sequence[str], owners: Sequence[Any], chosen: Any, seed: int) -> Any:
        """What `streams().add` takes: the texts that go on from prompts."""


@dataclass(frozen=True)
class Piece:
    """What is new of a text: `choice` says which one of the caller's; `likely` of its last token, where asked for."""

    choice: int
    text: str
    tokens: int
    finish_reason: str | None
    likely: dict[int, float] | None


@dataclass
class Order:
    """What a caller wants written: `prompts` (N), each the beginning of as many texts as `chosen` says."""

    prompts: list[str]
    chosen: Any
    seed: int
    top: int | None
    loop: asyncio.AbstractEventLoop
    events: "asyncio.Queue[Piece | Exception]" = field(default_factory=asyncio.Queue)
    cancelled: bool = False

    @property
    def texts(self) -> int:
        """How many there will be."""
        return len(self.prompts) * self.chosen.samples


class Writer:
    """Writes for all callers in a thread of its own."""

    def __init__(self, model: Writes, most_waiting: int):
        """`most_waiting`: orders."""
        self._model, self._most_waiting = model, most_waiting
        self._streams = model.streams()
        self._orders: deque[Order] = deque()
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="llmkit-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Orders that wait to be begun."""
        return len(self._orders)

    async def write(self, prompts: list[str], chosen: Any, seed: int, top: int | None) -> AsyncIterator[Piece]:
        """The pieces of the texts as they come, those of all of them mixed; who stops asking stops the writing.

        Raises Busy, and what the model raises for a prompt.
        """
        order = Order(prompts, chosen, seed, top, asyncio.get_running_loop())
        with self._changed:
            if len(self._orders) >= self._most_waiting or self._ended:
                raise Busy
            self._orders.append(order)
            self._changed.notify()
        return self._pieces(order)

    async def _pieces(self, order: Order) -> AsyncIterator[Piece]:
        left = order.texts
        try:
            while left:
                event = await order.events.get()
                if isinstance(event, Exception):
                    raise event
                left -= event.finish_reason is not None
                yield event
        finally:
            order.cancelled = True

    def close(self) -> None:
        """Write what was begun and what waits, take nothing new, end the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(timeout=60)

    def _work(self) -> None:
        while self._begin_waiting():
            try:
                self._streams.keep(lambda writing: not writing.owner[0].cancelled)
                if self._streams.active:
                    self._tell(self._streams.step())
            except Exception as error:  # of all of them: none can go on
                self._fail({id(w.owner[0]): w.owner[0] for w in self._streams.active}.values(), error)
                self._streams = self._model.streams()

    def _begin_waiting(self) -> bool:
        """Take orders as long as there is room; waits where there is nothing to write. False at the end."""
        while True:
            with self._changed:
                while not self._orders and not self._streams.active:
                    if self._ended:
                        return False
                    self._changed.wait()
                room = not self._streams.active or len(self._streams.active) < MOST_ACTIVE
                order = self._orders.popleft() if self._orders and room else None
            if order is None:
                return True
            if not order.cancelled:
                self._begin(order)

    def _begin(self, order: Order) -> None:
        try:
            owners = [(order, choice) for choice in range(order.texts)]
            writings, logits, state = self._model.begin(order.prompts, owners, order.chosen, order.seed)
            for writing in writings:
                writing.top = order.top
            self._streams.add(writings, logits, state)
        except Exception as error:
            self._fail([order], error)

    def _tell(self, pieces: list[Any]) -> None:
        """Hand out what is new, in one call for each loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Order, Piece]]] = {}
        for writing, text in pieces:
            order, choice = writing.owner
            likely = writing.likely.pop() if writing.likely else None
            piece = Piece(choice, text, len(writing.text.ids), writing.text.finish_reason, likely)
            by_loop.setdefault(order.loop, []).append((order, piece))
        for loop, found in by_loop.items():
            self._call(loop, found)

    def _fail(self, orders: Any, error: Exception) -> None:
        for order in orders:
            self._call(order.loop, [(order, error)])

    @staticmethod
    def _call(loop: asyncio.AbstractEventLoop, found: list[Any]) -> None:
        def put() -> None:
            for order, event in found:
                order.events.put_nowait(event)

        try:
            loop.call_soon_threadsafe(put)
        except RuntimeError:  # the loop is closed: the server has ended
            return
