"""The judge of `ptxbench check` for other programs: over HTTP, and as tools for an agent."""
