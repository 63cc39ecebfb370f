"""The section `encryption`: who can read what llmkit writes."""

from llmkit.config.schema import Section


class Encryption(Section):
    """With recipients, whatever is written below run_dir is encrypted (docs/encryption.md)."""

    places = ("recipients_file",)

    recipients: list[str] = []
    """Public keys of age (`age1…`); any one of their owners can read. `llmkit init --new-key FILE` makes a key."""
    recipients_file: str | None = None
    """File of more of them, one a line."""
