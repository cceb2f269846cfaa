"""Cleaning a collection: scan once, ask many times, look, apply, undo."""
