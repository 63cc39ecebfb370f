"""What programs write for a value that is not there. Imports nothing, for settings name it too."""

# "None" and "none" are left out: often they are labels.
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "NULL", "null", "?")
