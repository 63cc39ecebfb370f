"""What tasks that predict share: the learner of examples, objectives, calibrated probabilities, metrics, output.

A task brings what its examples are: how they are read, how they become arrays, and a network. It hands these over as
plain functions and arrays; nothing here knows of rows or texts. What is predicted is an objective's affair
(objectives.py: labels). Tasks import this package, never each other.
"""
