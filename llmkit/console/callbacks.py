"""How a piece of work speaks without knowing who listens: what it is handed to call."""

from collections.abc import Callable

Progress = Callable[[str, float, float | None], None]
"""(description, done, total): how far a piece of work is; total None where it is not known."""
Warn = Callable[[str], None]
"""(message): something that the user should know, and that ends nothing."""
