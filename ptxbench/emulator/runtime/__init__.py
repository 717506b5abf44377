"""The out-of-line functions that a translated kernel calls, as LLVM IR.

One function per (operation, space, bytes, vector) keeps compilation fast; a site's address selects its counters and
the buffer that it hit last. All lanes are checked before any access; inactive lanes are never dereferenced.
"""
