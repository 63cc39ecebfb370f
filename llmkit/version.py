"""The version of llmkit, which every artifact records."""

__version__ = "0.1.0"
