"""What features need of a state store, and the shapes in which state is read."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Ring(NamedTuple):
    """A user's newest raw events (at most `state.history`), oldest first; ties in time are ordered by (type, item, value)."""

    time: NDArray[np.uint32]  # (n,) UTC s
    item: NDArray[np.uint32]  # (n,) item number
    type: NDArray[np.uint8]  # (n,) event type code
    value: NDArray[np.int32]  # (n,) fixed point, 1/1000


class UserState(NamedTuple):
    """A user as of a moment."""

    ring: Ring
    values: NDArray[np.float32]  # (n_user_values,) read-outs at the request's hop, in Plan.user_names order
    offset: int  # newest log offset applied to the store when this was read


class StateStore(Protocol):
    """Key-value state with an applied offset in the same transaction. One writer, any number of reading processes."""

    def get(self, key: bytes) -> bytes | None: ...

    def get_with_offset(self, key: bytes) -> tuple[bytes | None, int]:
        """The value and the applied offset, from one snapshot."""
        ...

    def get_many(self, keys: list[bytes]) -> list[bytes | None]: ...

    def commit(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes], offset: int) -> None:
        """All puts, deletes and the offset, or none of it."""
        ...

    def offset(self) -> int:
        """The newest log offset folded into this state; 0 when empty."""
        ...

    def drop(self) -> None:
        """Forgets everything, the offset included."""
        ...

    def close(self) -> None: ...
