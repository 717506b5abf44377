"""The module and the data of each launch of a timed kernel, with functions that only record their calls."""

from ptxbench.backends.timed_kernel import TimedKernel


class Memory:
    """Arrays that hold some arguments and record restores."""

    def __init__(self, arguments, name="", log=None):
        self.arguments = arguments
        self.name = name
        self.log = [] if log is None else log

    def restore(self):
        self.log.append(f"all {self.name}")

    def restore_updated(self):
        self.log.append(f"updated {self.name}")

    def restore_scratch(self):
        self.log.append(f"scratch {self.name}")

    def refill(self, arguments):
        self.arguments = arguments


def kernel_over(memory, copies=0):
    """A kernel with numbered modules, from 0. A launch returns its module's number and its data."""
    loaded = iter(range(1, 100))
    return TimedKernel(
        memory,
        lambda fresh: next(loaded) if fresh else 0,
        lambda function, data: lambda: (function, data.arguments),
        lambda: [Memory(memory.arguments) for _ in range(copies)],
    )


def ran(launches):
    return [launch() for launch in launches]


def turn(kernel):
    """The results of the launches of a graph, one for each set of arrays."""
    seen = []
    bind = kernel.bind

    def noting(function, data):
        launch = bind(function, data)
        return lambda: seen.append(launch())

    kernel.bind = noting
    kernel.in_turn(len(kernel.sets))()
    kernel.bind = bind
    return seen


def test_a_graph_restores_scratch_right_before_its_launch_and_the_rest_half_a_turn_ahead():
    log = []
    sets = [Memory("x", name, log) for name in "0123"]
    kernel = TimedKernel(
        sets[0],
        lambda fresh: None,
        lambda function, data: lambda: log.append(f"launch {vars(data)['name']}"),
        lambda: sets[1:],
    )
    kernel.in_turn(5)()
    turns = ((2, 0), (3, 1), (0, 2), (1, 3), (2, 0))
    expected = [step for ahead, now in turns for step in (f"updated {ahead}", f"scratch {now}", f"launch {now}")]
    assert log == expected
    log.clear()
    kernel.in_turn(5, launched=False)()
    assert log == [step for step in expected if "launch" not in step]
    log.clear()
    kernel.restore()  # before the graph: those that are restored ahead have not been yet
    assert log == ["all 0", "updated 1", "updated 2", "updated 3"]


def test_each_sample_of_a_block_starts_from_a_new_module():
    kernel = kernel_over(Memory("a"))
    assert ran(kernel.refill("b")) == [(0, "b")]
    assert ran(kernel.reload(2)) == [(1, "b"), (2, "b")]
    assert ran(kernel.refill("c")) == [(0, "c")]
    assert ran(kernel.reload(2)) == [(3, "c"), (4, "c")]


def test_two_kernels_that_share_their_arrays_both_get_the_data():
    memory = Memory("a")
    one, other = kernel_over(memory), kernel_over(memory)
    assert ran(one.refill("b")) == ran(other.refill("b")) == [(0, "b")]
    assert memory.arguments == "b"


def test_the_launches_of_a_graph_use_one_new_module_and_end_with_different_data():
    kernel = kernel_over(Memory("a"), copies=2)
    assert turn(kernel) == [(0, "a"), (0, "a"), (0, "a")]
    kernel.refill("b")
    kernel.refill("b")  # the same data again move nothing
    kernel.reload(2)
    assert turn(kernel) == [(2, "b"), (2, "a"), (2, "a")]
    kernel.refill("c")
    assert turn(kernel) == [(0, "c"), (0, "a"), (0, "b")]
    kernel.refill("d")
    assert turn(kernel) == [(0, "d"), (0, "c"), (0, "b")]
