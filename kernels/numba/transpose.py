"""transpose: y[c][r] = x[r][c], in 32 x 32 tiles through shared memory, one element at a time.

Paired with ../ptx/transpose.ptx; shapes and launch are in ../pairs/transpose.py.
"""

from numba import cuda, float32

TILE = 32
ROWS = 8
PITCH = TILE + 1  # padded: the 32 elements of a column are in 32 banks


@cuda.jit(launch_bounds=TILE * ROWS)
def transpose(x, y, rows, columns):
    tile = cuda.shared.array((TILE, PITCH), float32)
    lane, warp = cuda.threadIdx.x, cuda.threadIdx.y
    first_column, first_row = TILE * cuda.blockIdx.x, TILE * cuda.blockIdx.y

    # A warp reads along a row of x, ...
    for k in range(warp, TILE, ROWS):
        if first_row + k < rows and first_column + lane < columns:
            tile[k, lane] = x[(first_row + k) * columns + first_column + lane]
    cuda.syncthreads()

    # ... and writes along a row of y, which is a column of the tile.
    for k in range(warp, TILE, ROWS):
        if first_column + k < columns and first_row + lane < rows:
            y[(first_column + k) * rows + first_row + lane] = tile[lane, k]
