"""The targets on which kernels work: every target tried with ptxas, and the reasons of each refusal."""
