"""Executes PTX on the CPU. Knows nothing of pairs."""
