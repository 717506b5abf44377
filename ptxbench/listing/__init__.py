"""What `ptxbench show` shows: listings, the aligned difference of two sides, and what explains it."""
