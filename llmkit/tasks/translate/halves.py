"""A training step of a translation model on the cores of a CPU."""

import json
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from llmkit.tasks.translate.network import working
from llmkit.training import allocator, second_process
from llmkit.training.second_process import SecondProcess, shared_like

if TYPE_CHECKING:
    from llmkit.tasks.translate.train import TranslateLearner


class Halves:
    """A step on a CPU, in two halves: the second half of a batch goes to a second process, that of the optimizers to a
    thread, whose operations are few and long. On one core they come one after the other, with the same outcome."""

    def __init__(self, learner: "TranslateLearner"):
        self.learner = weakref.proxy(learner)
        self.network = working(learner.network, learner.hardware.number_type)
        self.weights: list[Tensor] = list(self.network.parameters())
        self.others = shared_like(self.weights)  # the gradients of the second half
        self.second: SecondProcess | None = None
        self.thread: ThreadPoolExecutor | None = None
        allocator.keep_freed_memory()

    def step(self, pairs: np.ndarray, answers: np.ndarray, rate: float, tokens: int) -> Tensor:
        """One update of weights and averages from a batch of `tokens`; returns its mean loss."""
        if not second_process.there_is_a_core_for_it():
            loss = self._backward(pairs, answers, rate, tokens)
            self.learner.clip()
            for optimizer in self.learner.optimizers:
                optimizer.step()
            self.learner.averages.update()
            return loss
        if self.second is None or self.thread is None:
            self.second = SecondProcess(self._of_second)  # before there is a thread
            self.thread = ThreadPoolExecutor(1, initializer=second_process.be_one_thread)
        with second_process.half_of_the_threads():
            loss = self._backward(pairs, answers, rate, tokens)
            self.learner.clip()
            first, *others = self.learner.optimizers
            aside = [self.thread.submit(optimizer.step) for optimizer in others[:1]]
            for optimizer in (first, *others[1:]):
                optimizer.step()
            for one in aside:
                one.result()
            self.learner.averages.update()
        return loss

    def _backward(self, pairs: np.ndarray, answers: np.ndarray, rate: float, tokens: int) -> Tensor:
        """Leave the gradients of a batch in the learner's network; returns its mean loss."""
        weights: list[Tensor] = list(self.learner.network.parameters())
        with torch.no_grad():
            torch._foreach_copy_(self.weights, weights)
        self.network.train()
        middle = -(-len(pairs) // 2)
        seeds = torch.randint(1 << 62, (2,)).tolist()  # of the dropout of each
        mine, its = (
            json.dumps([pairs[part].tolist(), answers[part].tolist(), rate, tokens, seed]).encode()
            for part, seed in zip((slice(middle), slice(middle, None)), seeds, strict=True)
        )
        if self.second and middle < len(pairs):
            self.second.ask(its)
        try:
            loss, gradients = self._of(mine)
        except BaseException:
            self.second = None  # it may answer yet, and nobody will ask
            raise
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient.to(weight.dtype)
        if middle < len(pairs):
            answer = self.second.answer() if self.second else None
            loss += float(answer or self._of_second(its))
            for weight, gradient in zip(weights, self.others, strict=True):
                assert weight.grad is not None
                weight.grad += gradient
        return torch.tensor(loss)

    def _of(self, message: bytes) -> tuple[float, tuple[Tensor, ...]]:
        """Loss and gradients of a half, which weighs as many of all tokens as it has."""
        pairs, answers, rate, tokens, seed = json.loads(message)
        batch = self.learner.inputs(np.array(pairs), np.array(answers))
        loss = self.learner.loss(self.network, batch, rate, torch.Generator().manual_seed(seed))
        loss = loss * ((batch[3] >= 0).sum() / tokens)
        return loss.item(), torch.autograd.grad(loss, self.weights)

    def _of_second(self, message: bytes) -> bytes:
        loss, gradients = self._of(message)
        with torch.no_grad():
            torch._foreach_copy_(self.others, gradients)
        return repr(loss).encode()
