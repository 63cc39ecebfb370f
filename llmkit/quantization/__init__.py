"""Weights of fewer bits: graphs and arrays in, graphs and arrays out. Knows no task, no settings, no files.

quantize.py: 8 bits, convolutions.py: of transposed convolutions, groups.py: 4 bits in groups (GPTQ).
"""
