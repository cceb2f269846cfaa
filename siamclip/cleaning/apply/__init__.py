"""What goes, by the findings and by people's decisions; the quarantine, its way back, and the export.

clean.py imports command.py. The only room that moves a user's photos; imports no method.
"""
