"""One field at a time: what the edge accepts as an id, a number, a text, a list of attribute values; and the identity of an event.

Shared by the wire, the file import and the Segment and Gorse mappings, so that one rule has one place.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import msgspec

from vernal.errors import EventError, VernalError, shown
from vernal.terms import MAX_ID_BYTES

ID_RULE = f"text of 1 to {MAX_ID_BYTES} bytes without NUL"


class Rejection(msgspec.Struct, frozen=True):
    """A record that was not taken, and why; `raw` is what was sent."""

    index: int  # position in its call or row in its file
    code: str
    message: str
    where: str
    got: str
    expected: str
    hint: str
    raw: Any = None

    @classmethod
    def of(cls, index: int, error: VernalError, raw: Any) -> "Rejection":
        message = error.sentence().split("\n", 1)[0]
        return cls(index, error.code, message, error.where, shown(error.got), error.expected, error.hint, raw)


def identifier(value: Any, where: str) -> str:
    """An id as text: text as it came, byte for byte, or a whole number written out.

    Raises
    ------
    EventError
        Missing, empty, another type, too long, holding NUL, or not writable as UTF-8.
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text or "\x00" in text:
        raise EventError.invalid(where, "nothing" if value in (None, "") else value, ID_RULE)
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise EventError.invalid(where, text, "text that is valid Unicode") from None
    if size > MAX_ID_BYTES:
        raise EventError.invalid(where, f"{text[:40]}... ({size} bytes)", ID_RULE, "send a hash of it, the same one everywhere")
    return text


def optional_identifier(value: Any, where: str) -> str:
    """An id, or "" where there is none."""
    return "" if value is None or value == "" else identifier(value, where)


def number(value: Any, where: str) -> float | None:
    """A finite number, or none.

    Raises
    ------
    EventError
        Text, NaN, infinity.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise EventError.invalid(where, value, "a finite number")
    return float(value)


def position(value: Any, where: str) -> int:
    """A 0-based position, or -1 where there is none."""
    if value is None:
        return -1
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise EventError.invalid(where, value, "a whole number from 0 on")
    return value


def text(value: Any, where: str) -> str:
    """Free text; nothing is empty, numbers are written out."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise EventError.invalid(where, value, "text")
    return storable(str(value), where)


def storable(value: Any, where: str) -> Any:
    """A value that the log can hold: whole numbers of 64 bits, valid Unicode.

    Raises
    ------
    EventError
        It cannot.
    """
    try:
        msgspec.msgpack.encode(value)
    except (OverflowError, UnicodeEncodeError, TypeError, RecursionError) as error:
        raise EventError.invalid(where, str(error), "values that fit JSON: whole numbers of 64 bits, valid Unicode") from None
    return value


def attribute_values(value: Any, where: str) -> list[str]:
    """Values of one attribute as texts: a single one or a list; nothing, NaN and empty text are no value."""
    found = value if isinstance(value, list | tuple) else [value]
    texts = [plain(one, where) for one in found]
    return [one for one in dict.fromkeys(texts) if one]


def plain(value: Any, where: str) -> str:
    """One attribute value as text; 3.0 is "3", true is "true"."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return text(value, where)


def content_id(parts: tuple[Any, ...]) -> str:
    """Identity of an event that brought none: a hash of its content (128 bits, hex)."""
    return hashlib.blake2b(msgspec.msgpack.encode(parts), digest_size=16).hexdigest()


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise EventError.invalid(where, value, "a JSON object")
    return value
