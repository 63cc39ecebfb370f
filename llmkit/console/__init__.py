"""What people see: messages and progress on standard error (messages.py), tables on standard output, charts.

callbacks.py has the types of what a piece of work is handed to speak through. What is shown is decided elsewhere.
"""
