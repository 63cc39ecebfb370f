"""A YAML file to settings: the strict schema, and the sections that the configs of all tasks share. Knows no task.

file.py, yaml_text.py: text to plain data -> schema.py: plain data to typed settings. root.py, training.py, tune.py,
variants.py, requirements.py: the shared sections. fields.py: what settings classes say of their keys.
"""
