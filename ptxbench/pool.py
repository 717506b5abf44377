"""Who does independent tasks: this thread, threads of this process, or other machines (`dask_pool`)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from typing import Any, Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

Tell = Callable[[Any], None]
"""Reports the progress of a task, while it is done."""

Work = Callable[[Task, Tell], Result]
"""Does one task."""

Hear = Callable[[int, Any], None]
"""Gets the number of a task, and what its work has told."""


def ignore(number: int, report: Any) -> None:
    """A `Hear` for work that tells nothing."""


class Pool(Protocol):
    """Does tasks that do not depend on each other."""

    def map(
        self, work: Work[Task, Result], tasks: Sequence[Task], hear: Hear = ignore
    ) -> Generator[tuple[int, Result], None, None]:
        """The number and the result of each task, as soon as it is done. Closing the generator drops the others.

        Raises what the work raises.
        """
        ...


class GpuPool(Pool, Protocol):
    """A pool of machines, some of which may have a GPU."""

    def map(
        self, work: Work[Task, Result], tasks: Sequence[Task], hear: Hear = ignore, *, gpu: bool = False
    ) -> Generator[tuple[int, Result], None, None]:
        """See Pool. `gpu`: whether each task needs a GPU for itself."""
        ...


class InTurn:
    """One task after the other, in this thread, so that Ctrl-C ends the present one."""

    def map(
        self, work: Work[Task, Result], tasks: Sequence[Task], hear: Hear = ignore
    ) -> Generator[tuple[int, Result], None, None]:
        for number, task in enumerate(tasks):
            yield number, work(task, partial(hear, number))


class Threads:
    """At most `count` tasks at a time, for work that spends its time in other processes or outside the lock of the
    interpreter. `hear` is called in these threads.

    `stop`: ends the tasks that run if the generator is closed early; without it they are not waited for.
    """

    def __init__(self, count: int, stop: Callable[[], None] | None = None) -> None:
        self.count = count
        self.stop = stop

    def map(
        self, work: Work[Task, Result], tasks: Sequence[Task], hear: Hear = ignore
    ) -> Generator[tuple[int, Result], None, None]:
        threads = ThreadPoolExecutor(self.count, thread_name_prefix="task")
        complete = False
        try:
            futures = {threads.submit(work, task, partial(hear, number)): number for number, task in enumerate(tasks)}
            for future in as_completed(futures):
                yield futures[future], future.result()
            complete = True
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            if self.stop:
                if not complete:
                    self.stop()
                threads.shutdown()
