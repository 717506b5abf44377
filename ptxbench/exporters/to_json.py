"""The run document, as `ptxbench run` saves it."""

from ptxbench.result import to_json as export

__all__ = ["export"]
