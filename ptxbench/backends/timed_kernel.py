"""A kernel that is timed, and the arrays of its launches; both can be renewed. Needs no device: all calls are
parameters.

The launches of a graph rotate over several sets of arrays. The graph restores arrays that a launch changes. Scratch is
restored right before the launch, so that it is in L2, as in a program. In-out arrays are restored half a turn earlier,
so that other sets have evicted them from L2 by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ptxbench.backends.base import Arguments
from ptxbench.backends.device_buffers import DeviceBuffers

Launch = Callable[[], None]


class TimedKernel:
    """`load` returns the kernel, from a newly loaded module on request.

    `bind` returns the launch of a kernel on some arrays. `copies`: makes the further sets of arrays that the launches
    of a graph rotate over.
    """

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
        self.arguments = memory.arguments
        self.refills = 0
        self.kernel = load(False)

    def refill(self, arguments: Arguments) -> Sequence[Launch]:
        """Put other data into the arrays, which clocks may share; return the next launch.

        The old data go to the next of the copies, so that these have different data.
        """
        if self.copies and self.arguments is not arguments:
            self.copies[self.refills % len(self.copies)].refill(self.arguments)
            self.refills += 1
        self.arguments = arguments
        if self.memory.arguments is not arguments:
            self.memory.refill(arguments)
        self.kernel = self.load(False)
        return [self.bind(self.kernel, self.memory)]

    def reload(self, samples: int) -> Sequence[Launch]:
        """Load the module again, once for each of the next samples; return their launches, in order."""
        kernels = [self.load(True) for _ in range(samples)]
        self.kernel = kernels[-1]
        return [self.bind(kernel, self.memory) for kernel in kernels]

    @property
    def sets(self) -> list[DeviceBuffers]:
        """The sets of arrays. The first call makes the copies."""
        if self.copies is None:
            self.copies = self.make_copies()
        return [self.memory, *self.copies]

    def restore(self) -> None:
        """Enqueue what is restored before any launch or graph: all but scratch."""
        self.memory.restore()
        for copy in self.copies or ():
            copy.restore_updated()

    def in_turn(self, count: int, *, launched: bool = True) -> Launch:
        """Returns the function that enqueues that many launches, with what is restored before each.

        They rotate over the sets of arrays. All use the module that was loaded last. Without `launched` only the
        restoring is enqueued.
        """
        sets = self.sets
        launches = [self.bind(self.kernel, arrays) for arrays in sets]
        ahead = len(sets) // 2

        def enqueue() -> None:
            for i in range(count):
                sets[(i + ahead) % len(sets)].restore_updated()
                sets[i % len(sets)].restore_scratch()
                if launched:
                    launches[i % len(sets)]()

        return enqueue
