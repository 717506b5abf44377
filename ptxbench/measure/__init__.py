"""The paired experiment over any backend's clock: clocks in, rounds out. Knows no backend, no pair and no file."""

from ptxbench.measure.block import start_letter, take_block
from ptxbench.measure.experiment import SETTINGS, Host, Measured, measure
from ptxbench.measure.settings import Settings

__all__ = ["SETTINGS", "Host", "Measured", "Settings", "measure", "start_letter", "take_block"]
