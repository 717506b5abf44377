"""A mapping that is computed when it is first read: most launches need few of the tables that their counters give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value", covariant=True)


class Deferred(Mapping[Key, Value]):
    """The mapping that `compute` returns. It is equal to a dict with the same items, and pickled as one."""

    def __init__(self, compute: Callable[[], Mapping[Key, Value]]) -> None:
        self.compute = compute

    @cached_property
    def items_by_key(self) -> Mapping[Key, Value]:
        return self.compute()

    def __getitem__(self, key: Key) -> Value:
        return self.items_by_key[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self.items_by_key)

    def __len__(self) -> int:
        return len(self.items_by_key)

    def __repr__(self) -> str:
        return repr(self.items_by_key)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self.items_by_key),)
