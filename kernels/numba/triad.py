"""triad: a[i] = b[i] + s * c[i], in a grid-stride loop of one element at a time.

Paired with ../ptx/triad.ptx; shapes and launch are in ../pairs/triad.py.
"""

from numba import cuda

BLOCK = 256  # a knob: ptxbench tune


@cuda.jit(launch_bounds=BLOCK)
def triad(a, b, c, s, n):
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        a[i] = b[i] + s * c[i]
