"""labels.json of a model folder: the labels that a model knows, in the order of their numbers."""

import json
from dataclasses import dataclass

from llmkit.plain import Json
from llmkit.store.files import Files

LABELS = "labels.json"


@dataclass(frozen=True)
class Labelling:
    """What labels.json holds."""

    labels: list[str]
    temperature: float | None = None
    """Of a classifier: what its logits are divided by before they become probabilities."""
    shares: list[float] | None = None
    """Of a generator: how frequent each label was in training."""

    def to_bytes(self) -> bytes:
        """The file."""
        about: Json = {"labels": self.labels}
        about |= {"temperature": self.temperature} if self.temperature is not None else {}
        about |= {"shares": self.shares} if self.shares is not None else {}
        return (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode()


def read(folder: Files) -> Labelling:
    """labels.json of a model folder. Raises InputError."""
    found = folder.read_as(LABELS, Labelling)
    if len(set(found.labels)) < len(found.labels):
        raise folder.damaged(LABELS, "a label stands twice")
    if found.temperature is not None and not found.temperature > 0:
        raise folder.damaged(LABELS, "its temperature is not above 0")
    if found.shares is not None and (min(found.shares, default=0) < 0 or not sum(found.shares) > 0):
        raise folder.damaged(LABELS, "its shares are none")
    return found
