"""Measures how good `check` is: bugs are planted in the kernels of a pair, one at a time, and it must reject each.

`ptx` and `cuda` plant bugs, `trial` judges one bug, `audit` chooses the bugs of a kernel and counts the outcomes.
"""
