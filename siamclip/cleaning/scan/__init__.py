"""`clean.py scan`: read every file once, in processes, into Parquet.

scan.py is the way in; table/ is what it leaves on the disk.
"""
