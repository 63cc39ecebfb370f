"""Everything that is kept on disk: artifacts and their locks, model folders, weights with many zeros.

The only place that opens the files of a finished folder (files.py), so that how they lie on disk is decided here.
"""
