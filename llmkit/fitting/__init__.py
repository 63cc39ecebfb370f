"""One training from settings to weights: what `train`, its folds, the trials of `tune` and fine-tunings have in common.

setup.py: what is trained, on what -> fit.py: the loop, and what comes out -> write.py, card.py: the model folder.
probe.py: what a training would take, for `--dry-run`. Imports torch only where it trains.
"""
