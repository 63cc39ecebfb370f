"""The command line: words in, a stage called, its result shown, an exit code out.

commands.py: the verbs -> options.py: what their words stand for -> show.py: results for people and for programs.
main.py: running one, errors to exit codes. reference.py: docs/config.md out of the settings classes.
"""
