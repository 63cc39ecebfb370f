"""What tasks that predict a label share: splits and folds, the learner, calibrated probabilities, figures, output.

A task brings what its examples are: how they are read, how they become arrays, and a network. It hands these over as
plain functions and arrays; nothing here knows of rows or texts. Tasks import this package, never each other.
"""
