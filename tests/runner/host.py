"""Notes of the host: whether its time counts when a pair's reference is called, and when the device works."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

reference: list[bool] = []
device: list[bool] = []


class State:
    at_work = False

    @contextmanager
    def working(self) -> Iterator[None]:
        self.at_work = True
        yield
        self.at_work = False


state = State()


def noted(outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    reference.append(state.at_work)
    return outputs
