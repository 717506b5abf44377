"""Compares hand-written PTX with what the compiler makes of CUDA C."""

__version__ = "0.1.0"
