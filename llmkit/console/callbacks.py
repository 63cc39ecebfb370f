"""How work reports back to whoever called it: the types of the callbacks, which imports nothing else.

`Console` has both (`ui.progress`, `ui.warn`); a test or a program passes functions of its own.
"""

from collections.abc import Callable

Progress = Callable[[str, float, float | None], None]
"""Called with a description, how much is done, and how much there is in all (None: not known)."""

Warn = Callable[[str], None]
"""Called with a message about something that is not as expected, though the work goes on."""
