"""calibration.py: what the generator's graph is run with to see how far its activations reach."""

import numpy as np
import pytest

from llmkit.store.files import Files
from llmkit.tasks.image import calibration, graph, use
from llmkit.tasks.image.network import Generator


@pytest.mark.parametrize("labels", [0, 3])
def test_every_input_of_the_graph_and_all_labels_in_turn(labels, tmp_path):
    exported, weights = graph.export(Generator(28, 1, labels, 5, 4))
    feeds = calibration.feeds(exported, weights, Files(tmp_path))
    assert list(feeds) == [node.name for node in exported.graph.input]
    assert feeds["latents"].dtype == np.float32
    assert (feeds["latents"] == use.latents(2000, 1000, 5)).all()
    if labels:
        assert feeds["labels"].dtype == np.int64
        assert np.bincount(feeds["labels"]).tolist() == [334, 333, 333]
