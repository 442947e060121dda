from __future__ import annotations

import pytest

from pipes.core.lookup import look_up

TABLE = {1: "one", 2: "two", 3: "three"}


@pytest.mark.parametrize("handles", [(), (2,), (3, 1), (1, 2, 3), {2: b"", 1: b""}])
def test_entries_come_in_the_order_of_their_handles(handles) -> None:
    assert list(look_up(TABLE, handles)) == [TABLE[handle] for handle in handles]


@pytest.mark.parametrize("handles", [(4,), (1, 4)])
def test_a_handle_without_an_entry_is_an_error(handles) -> None:
    with pytest.raises(KeyError):
        look_up(TABLE, handles)
