"""Methods that make a smaller, faster model of a trained one: quantize, prune, distil, fuse, chains of these, a budget.

They work on a task that is handed in (`tasks.contract.Task`) and name none. settings: `config/variants.py`.
model.py: what a method takes and gives -> methods.py, budget.py: the methods -> fine_tuning.py: what is left learns.
"""
