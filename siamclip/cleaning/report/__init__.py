"""`clean.py report`: one self-contained HTML page of what was found.

calibrate/ shares page.py. Reads what find/ wrote; finds nothing itself.
"""
