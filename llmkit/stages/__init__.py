"""The six verbs as plain functions: folders and order only. Nothing is learned or measured here.

Each stage reads one artifact and writes the next; freshness.py says whether there is anything to do.
"""
