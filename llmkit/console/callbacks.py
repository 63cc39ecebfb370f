"""How work reports back to whoever called it: the types of the callbacks, which imports nothing but types.

`Console` has them all (`ui.progress`, `ui.warn`, `ui.training`); a test or a program passes functions of its own.
"""

from collections.abc import Callable

from llmkit.plain import Json

Progress = Callable[[str, float, float | None], None]
"""Called with a description, how much is done, and how much there is in all (None: not known)."""

Warn = Callable[[str], None]
"""Called with a message about something that is not as expected, though the work goes on."""

Event = Json
"""What the training loop reports. Which event it is says `event`:

    resumed     step, seconds
    step        step, loss (running mean), learning_rate, spent (share of the budget), seconds, tokens or examples
    validated   a line of metrics.jsonl (step, seconds, tokens or examples, train_loss, val_loss, val_…), best (so far)

Seconds, tokens and examples are those of the whole training until then.
"""

Report = Callable[[Event], None]
"""Called with each event of a training."""
