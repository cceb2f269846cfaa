"""From pairs to groups: which pairs are believed, which photo of a group stays, and why.

find/ imports it. Works on rows of the scanned table alone: no file is opened here.
"""
