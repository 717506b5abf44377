"""Which module and which data a timed kernel is launched with, over functions that only note what they are asked."""

from ptxbench.backends.timed_kernel import TimedKernel


class Memory:
    """Arrays that hold some arguments."""

    def __init__(self, arguments):
        self.arguments = arguments

    def refill(self, arguments):
        self.arguments = arguments


def kernel_over(memory, copies=0):
    """A kernel whose modules are numbered: 0 is the first. A launch gives its module's number and its data."""
    loaded = iter(range(1, 100))
    return TimedKernel(
        memory,
        lambda fresh: next(loaded) if fresh else 0,
        lambda function, each: lambda: (function, each.arguments),
        lambda: [Memory(memory.arguments) for _ in range(copies)],
    )


def ran(launches):
    return [launch() for launch in launches]


def test_each_sample_of_a_block_starts_from_a_module_of_its_own():
    kernel = kernel_over(Memory("a"))
    assert ran(kernel.refill("b")) == [(0, "b")]
    assert ran(kernel.reload(2)) == [(1, "b"), (2, "b")]
    assert ran(kernel.refill("c")) == [(0, "c")]
    assert ran(kernel.reload(2)) == [(3, "c"), (4, "c")]


def test_two_kernels_that_share_their_arrays_are_both_given_the_data():
    memory = Memory("a")
    one, other = kernel_over(memory), kernel_over(memory)
    assert ran(one.refill("b")) == ran(other.refill("b")) == [(0, "b")]
    assert memory.arguments == "b"


def test_the_launches_of_a_graph_are_of_one_new_module_and_come_to_hold_unlike_data():
    kernel = kernel_over(Memory("a"), copies=2)
    assert ran(kernel.rotation()) == [(0, "a"), (0, "a"), (0, "a")]
    kernel.refill("b")
    kernel.refill("b")  # the same data again move nothing
    kernel.reload(2)
    assert ran(kernel.rotation()) == [(2, "b"), (2, "a"), (2, "a")]
    kernel.refill("c")
    assert ran(kernel.rotation()) == [(0, "c"), (0, "a"), (0, "b")]
    kernel.refill("d")
    assert ran(kernel.rotation()) == [(0, "d"), (0, "c"), (0, "b")]
