"""What an evaluation leaves: plots, report.html, metrics.json, tables, lines on the terminal.

Imports nothing of evaluation/ above it but types.
"""
