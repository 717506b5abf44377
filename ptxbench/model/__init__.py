"""Floors of the cells of a run on the emulator, and how often what they allow to say was right."""
