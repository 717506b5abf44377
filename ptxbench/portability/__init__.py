"""Where a kernel still runs: every target tried with ptxas, and what each refused for."""
