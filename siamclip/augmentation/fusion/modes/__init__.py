"""The modes of fusion, one function a file: two stacks of noise maps in, the weight of the first out.

Reached by name through the table in augmentation/method_table.py; imports nothing of fusion/.
"""
