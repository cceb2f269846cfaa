"""What an evaluation leaves: plots, report.html, metrics.json, tables, lines on the terminal.

evaluate.py imports it. It imports measurement/, and nothing else of evaluation/.
"""
