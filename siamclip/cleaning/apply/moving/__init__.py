"""Moves of single files that lose nothing: journal, recovery, transfer, folders reached without following links.

Only apply/ imports it.
"""
