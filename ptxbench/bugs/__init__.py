"""How good is `check`? Single semantic bugs are planted in the kernels of a pair, and `check` must reject each one.

`ptx` and `cuda` plant bugs, `trial` judges one bug, `audit` chooses the bugs of a kernel and counts the outcomes.
"""
