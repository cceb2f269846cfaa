"""Image quality without a reference: BRISQUE, and any metric of pyiqa.

Reached by name through cleaning/method_table.py; `open_metrics` checks what is installed before the scan.
"""
