"""A step in two halves is one of the whole, on two cores and on one."""

from typing import Any

import pytest
import torch
from small_runs import setup_of

from llmkit.fitting import setup as setups
from llmkit.stages.prepare import prepare
from llmkit.tasks import experiment as experiments
from llmkit.training import second_process


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_step_in_halves_is_one_of_the_whole(
    translate_fresh: Any, monkeypatch: pytest.MonkeyPatch, dropout: float
) -> None:
    """On two cores and on one, bit for bit; and without dropout in one piece, but for roundings."""
    prepare(experiments.load(translate_fresh.config))
    setup = setup_of(translate_fresh, f"model.dropout={dropout}")

    def weights(cores: int, halves: bool = True) -> dict[str, Any]:
        monkeypatch.setattr(second_process, "there_is_a_core_for_it", lambda: cores == 2)
        torch.manual_seed(1)
        learner = setups.learner(setup)
        if not halves:
            learner.halves = None
        losses = [learner.step(0.01, 0.5).item() for _ in range(3)]
        return {**learner.trained_weights(), "losses": torch.tensor(losses)}

    together, alone = weights(2), weights(1)
    for name, tensor in alone.items():
        assert torch.equal(tensor, together[name]), name
    if not dropout:
        for name, tensor in weights(1, halves=False).items():
            torch.testing.assert_close(tensor, alone[name], atol=2e-3, rtol=0.0)
