"""The paired experiment over any backend's clock: clocks in, rounds out. Knows no backend, no pair and no file."""

from ptxbench.measure.block import start_letter, take_block
from ptxbench.measure.experiment import SETTINGS, CellMeasurement, Host, measure
from ptxbench.measure.settings import SamplingSettings

__all__ = ["SETTINGS", "CellMeasurement", "Host", "SamplingSettings", "measure", "start_letter", "take_block"]
