"""From pairs to groups: which pairs are believed, which photo of a group stays, and why.

find/, apply/ and the methods of duplicates/ import it. Opens no photo.
"""
