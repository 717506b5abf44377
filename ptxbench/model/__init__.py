"""Floors of the cells of a run on the emulator, and how often the claims from them were right."""
