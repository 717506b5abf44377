"""The data that `ptxbench show` shows: listings, the aligned difference of two sides, and its explanation."""
