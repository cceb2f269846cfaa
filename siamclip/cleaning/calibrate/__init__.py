"""Which threshold for my photos: pairs from the whole range, people's answers, precision and recall.

clean.py imports command.py. Shares the page of report/.
"""
