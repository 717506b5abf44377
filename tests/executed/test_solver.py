"""Linear programs, solved by HiGHS in this process and in copies of it."""

import subprocess
import sys

import numpy as np
import pytest

from ptxbench.executed.flow import FlowRow
from ptxbench.executed.solver import Solver

INF = np.inf
FIRST = FlowRow({0: 1.0, 1: 1.0}, 2.0, 8.0)
"""2 <= a + b <= 8."""

# further rows, the cost, and the variables a, b, c of least cost; None if there are none
PROGRAMS = [
    ([],                                                        [1.0, 2.0, 1.0],   [2, 0, 0]),
    ([],                                                        [-1.0, -2.0, 1.0], [0, 8, 0]),
    ([],                                                        [0.0, 0.0, -1.0],  None),  # c has no end
    ([FlowRow({2: 1.0}, -INF, 5.0)],                            [1.0, 2.0, -1.0],  [2, 0, 5]),
    ([FlowRow({0: 1.0, 1: -3.0}, 0.0, 0.0)],                    [-1.0, 0.0, 1.0],  [6, 2, 0]),
    ([FlowRow({1: 2.0}, 3.0, INF), FlowRow({0: 1.0}, 4.0, 4)],  [1.0, 1.0, 1.0],   [4, 1.5, 0]),
    ([FlowRow({0: 1.0, 1: 1.0}, 9.0, INF)],                     [1.0, 1.0, 1.0],   None),
    ([FlowRow({}, 1.0, INF)],                                   [1.0, 1.0, 1.0],   None),
    ([FlowRow({}, 0.0, 1.0)],                                   [1.0, 2.0],        [2, 0, 0]),
]  # fmt: skip


@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_one_solver_finds_the_optimum_of_each_program_in_turn(unit):
    solver = Solver(3)
    solver.add_rows([FlowRow(FIRST.coefficients, FIRST.low * unit, FIRST.high * unit)], unit)
    for rows, cost, optimum in PROGRAMS:
        solver.add_rows([FlowRow(row.coefficients, row.low * unit, row.high * unit) for row in rows], unit)
        values = solver.optimum(np.array(cost))
        assert values is None if optimum is None else values == pytest.approx(optimum), (rows, cost)
        solver.remove_rows(len(rows))


def test_further_variables_are_at_least_zero_and_cost_nothing_unless_their_cost_is_given():
    solver = Solver(1)
    solver.add_columns(2)
    solver.add_rows([FlowRow({0: 1.0, 1: 1.0, 2: -1.0}, 3.0, 3.0)], 1.0)
    assert solver.optimum(np.array([1.0]))[0] == 0
    assert solver.optimum(np.array([1.0, 2.0])) == pytest.approx([3, 0, 0])


@pytest.mark.parametrize("row", [FlowRow({0: INF}, 0.0, 1.0), FlowRow({7: 1.0}, 0.0, 1.0)])
def test_a_row_that_highs_refuses_is_an_error(row):
    with pytest.raises(ValueError, match="HiGHS does not accept the linear program"):
        Solver(1).add_rows([row], 1.0)


IN_COPIES = """
import os
import numpy as np
from ptxbench.executed.flow import FlowRow
from ptxbench.executed.solver import Solver

def solve(solver):
    least, most = (solver.optimum(sign * np.ones(2)) for sign in (1, -1))
    return [float(sum(least)), float(sum(most))]

def threads():
    return len(os.listdir("/proc/self/task"))

before = threads()
solver = Solver(2)
solver.add_rows([FlowRow({0: 1.0, 1: 1.0}, 2.0, 8.0)], 1.0)
results = [solve(solver)]
started = threads() - before
for _ in range(2):
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        other = Solver(2)
        other.add_rows([FlowRow({0: 1.0, 1: 1.0}, 2.0, 8.0)], 1.0)
        os.write(writing, repr([solve(solver), solve(other)]).encode())
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    results += eval(os.read(reading, 1000))
print(started, *results)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_the_solver_starts_no_threads_and_works_in_copies_of_a_process_that_has_solved():
    assert printed(IN_COPIES) == "0" + " [2.0, 8.0]" * 5


AFTER_OTHERS = """
import highspy
import numpy as np
from ptxbench.executed.flow import FlowRow
from ptxbench.executed.solver import Solver

other = highspy._Highs()
other.setOptionValue("output_flag", False)
other.setOptionValue("threads", 2)
other.addVars(1, np.zeros(1), np.ones(1))
assert other.run() == highspy.HighsStatus.kOk
solver = Solver(1)
solver.add_rows([FlowRow({0: 1.0}, 2.0, 8.0)], 1.0)
print(*solver.optimum(np.ones(1)), *solver.optimum(-np.ones(1)))
"""


def test_the_solver_works_if_other_code_gave_highs_another_number_of_threads():
    assert printed(AFTER_OTHERS) == "2.0 8.0"


def printed(code):
    """All that a new process prints for this code; it prints nothing else, errors included."""
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.strip()
