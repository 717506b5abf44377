"""A kernel that is timed, over the arrays of its launches: both can be renewed. Needs no device: what does is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ptxbench.backends.device_buffers import DeviceBuffers

Launch = Callable[[], None]


class TimedKernel:
    """`load` gives the kernel, of a module that is loaded again if that is asked for. `bind` gives the launch of a
    kernel over some arrays. `copies`: makes the further sets of arrays that the launches of a graph rotate over."""

    def __init__(
        self,
        memory: DeviceBuffers,
        load: Callable[[bool], Any],
        bind: Callable[[Any, DeviceBuffers], Launch],
        copies: Callable[[], list[DeviceBuffers]],
    ) -> None:
        self.memory = memory
        self.load = load
        self.bind = bind
        self.make_copies = copies
        self.copies: list[DeviceBuffers] | None = None
        self.given = memory.arguments
        self.refills = 0
        self.kernel = load(False)

    def refill(self, arguments: Mapping[str, Any]) -> Sequence[Launch]:
        """Put other data into the arrays, which clocks may share; the launch to go on with.

        The data that were there go to the next of the copies, so that these come to hold unlike data.
        """
        if self.copies and self.given is not arguments:
            self.copies[self.refills % len(self.copies)].refill(self.given)
            self.refills += 1
        self.given = arguments
        if self.memory.arguments is not arguments:
            self.memory.refill(arguments)
        self.kernel = self.load(False)
        return [self.bind(self.kernel, self.memory)]

    def reload(self, samples: int) -> Sequence[Launch]:
        """Load the module again, once for each of the next samples; their launches, in order."""
        kernels = [self.load(True) for _ in range(samples)]
        self.kernel = kernels[-1]
        return [self.bind(each, self.memory) for each in kernels]

    def rotation(self) -> list[Launch]:
        """The launches over each set of arrays in turn, all of the module that was loaded last.

        The first call makes the copies.
        """
        if self.copies is None:
            self.copies = self.make_copies()
        return [self.bind(self.kernel, each) for each in (self.memory, *self.copies)]
