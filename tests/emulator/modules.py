"""Kernels of tests, each with the PTX version and the target that it needs."""

from tests.emulator.test_ptxas import assemble

NEW, OLD = ("9.1", "sm_100a"), ("6.3", "sm_75")


class Modules:
    """The modules of one test file, which ptxas must accept."""

    def __init__(self):
        self.texts = []

    def __call__(self, text, version=NEW):
        """A module with one kernel."""
        whole = f".version {version[0]}\n.target {version[1]}\n.address_size 64\n{text}"
        self.texts.append((whole, version[1]))
        return whole

    def assemble(self):
        for text, target in self.texts:
            assemble(text, target)
