"""The pair transpose."""


def transpose(x, rows, columns):
    return {"y": [[x[r][c] for r in range(rows)] for c in range(columns)]}


REFERENCE = (transpose, {"rows": 2, "columns": 3})

MUTANTS = [
    ("transpose.ptx", "%reads_24, %x_row_24, %rows",     "%reads_24, %x_row_16, %rows"),
    ("transpose.ptx", "%in_rows, %y_column, %rows",      "%in_rows, %y_column, %columns"),
    ("transpose.ptx", "mul.wide.u32 %y_step",            "mul.wide.u32 %x_step"),       # a step never computed
    ("transpose.ptx", "bar.sync 0;",                     ""),
]  # fmt: skip
