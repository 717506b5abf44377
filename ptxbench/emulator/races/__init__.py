"""Races by happens-before, for sanitized launches: shadow memory, logical time and what threads know of each other.

The generated code reports events (runtime/watch.py); functions that numba compiles handle them.
"""
