"""What a writer has to send, as the writer sees it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol


class Due(Protocol):
    """What is to be written: `Pending`, or `delivery.Delivery` where some items have queues.

    A batch that was taken is busy until one of the methods that take a batch is told of it.
    """

    limit: int

    @property
    def conflated(self) -> int: ...

    def __len__(self) -> int: ...

    def put(self, values: dict[int, bytes]) -> None: ...

    def take(self, limit: int) -> dict[int, bytes]: ...

    def done(self, batch: Collection[int]) -> None:
        """The server took these, or they are not to be written."""

    def retry(self, batch: Mapping[int, bytes]) -> None:
        """These were not sent, or the server did not look at them."""

    def unknown(self, batch: Mapping[int, bytes]) -> None:
        """Nobody knows whether the server took these."""

    def abandoned(self, batch: Mapping[int, bytes]) -> None:
        """As `unknown`, of a session that is over while the next one may be there."""

    def declined(self, handle: int) -> None:
        """The server refused this one; `withdraw` or `postpone` may follow."""

    def withdraw(self, handle: int, *, for_good: bool) -> bool:
        """Hold back what waits of an item in error; ``for_good``: the refused value never goes.

        Returns whether something is left to write when the item may be tried again.
        """

    def postpone(self, handle: int) -> None:
        """Hold back what waits of an item until its node is known again."""

    def clear(self) -> None:
        """The session is over."""

    def forget(self, handles: Iterable[int]) -> None: ...
