"""A progress bar on stderr, on a terminal only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ptxbench.runner import Step
from ptxbench.terminal.console import SafeConsole


class Bar:
    """Shows the progress of a run. Everything else must be printed inside `paused`."""

    def __init__(self) -> None:
        console = SafeConsole(stderr=True)
        self.progress = Progress(
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            redirect_stdout=False,  # results go to stdout, even if this is drawn on stderr
            redirect_stderr=False,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("", total=None)

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def show(self, step: Step) -> None:
        self.update(step.done, step.total, step.words)

    def update(self, done: int, total: int, words: str) -> None:
        """`done` of `total` pieces are complete, and `words` is next."""
        self.progress.update(self.task, completed=done, total=max(total, done + 1), description=words)

    def last(self, words: str) -> None:
        """The last step begins."""
        self.progress.update(self.task, description=words)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Remove the bar from the terminal while something is printed."""
        self.progress.stop()
        yield
        self.progress.start()
