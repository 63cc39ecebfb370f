"""The search behind `llmkit tune`: trials that are proposed, run, compared and, after a crash, run again.

settings -> values.py -> study.py (one Optuna journal, written by one process) <-> pool.py <-> worker.py (processes)
"""
