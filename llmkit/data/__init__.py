"""Raw files to arrays, as far as several tasks need it: reading, cleaning, tokenizing, splits. Takes plain arguments.

files.py, unpacking.py, decoding.py -> rows.py, documents.py, pictures.py: what is in files. cleaning.py, tokenizer.py:
text. columns.py, encoding.py: rows to numbers. labels.py, splits.py, prepared_folder.py: what trains, validates, tests.
"""
