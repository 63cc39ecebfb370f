"""A report to send to someone: one HTML file that needs nothing else, readable on a phone and on paper.

`html` writes text, tables and the page, `charts` draws lines and bars as SVG, `curves` computes what is drawn. What is
in a report is said by stages and tasks, as a list of sections.
"""
