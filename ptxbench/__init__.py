"""Does hand-written PTX beat what the compiler makes of CUDA C?"""

__version__ = "0.1.0"
