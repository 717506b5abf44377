"""Race detection by happens-before, for sanitized launches: shadow memory, logical time and vector clocks.

The generated code reports events (runtime/watch.py); functions that numba compiles handle them.
"""
