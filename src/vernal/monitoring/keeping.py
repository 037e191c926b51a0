"""What the watchman keeps on disk: arrays and texts in one file that appears whole or not at all."""

from typing import Any, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

FORMAT: Final = 1


class Packed(msgspec.Struct, array_like=True, frozen=True):
    """An array as bytes."""

    dtype: str
    shape: tuple[int, ...]
    content: bytes


class Kept(msgspec.Struct):
    """Arrays and texts by name, where a reference or a watch is put and opened again.

    Example
    -------
    >>> kept = Kept()
    >>> kept.put_array("edges", np.arange(3.0))
    >>> Kept.from_bytes(kept.to_bytes()).array("edges").tolist()
    [0.0, 1.0, 2.0]
    """

    arrays: dict[str, Packed] = {}
    texts: dict[str, Any] = {}

    def put_array(self, name: str, array: NDArray[Any]) -> None:
        self.arrays[name] = Packed(array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes())

    def put_json(self, name: str, value: Any) -> None:
        self.texts[name] = msgspec.to_builtins(value)

    def array(self, name: str) -> NDArray[Any]:
        found = self.arrays[name]
        return np.frombuffer(found.content, found.dtype).reshape(found.shape)

    def json(self, name: str) -> Any:
        return self.texts[name]

    def to_bytes(self) -> bytes:
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        return msgspec.msgpack.decode(raw, type=cls)
