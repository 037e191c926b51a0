"""How deep a JSON text nests, found before anything decodes it.

A record nested deeper than every reader's stack would be stored by one process and stop the next, so it is refused at the edge.
"""

import numba
import numpy as np
from numpy.typing import NDArray

MAX_DEPTH = 32
OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT, QUOTE, BACKSLASH, NEWLINE = b'[]{}"\\\n'


def too_deep(body: bytes, limit: int = MAX_DEPTH) -> bool:
    """Whether arrays and objects nest deeper than `limit`. Cost: 1 us for a small body, 1 ms per MB otherwise.

    >>> too_deep(b"[" * 40 + b"]" * 40), too_deep(b'["[[[[[[[[[["]'), too_deep(b"{}")
    (True, False, False)
    """
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    return bool(depth(np.frombuffer(body, np.uint8)) > limit)


@numba.njit(cache=True, nogil=True)
def depth(text: NDArray[np.uint8]) -> int:
    """The deepest nesting outside strings."""
    now, deepest, quoted, skip = 0, 0, False, False
    for byte in text:
        if skip:
            skip = False
        elif byte == BACKSLASH:
            skip = quoted
        elif byte == QUOTE:
            quoted = not quoted
        elif byte == NEWLINE and quoted:  # a broken line of NDJSON; the next one starts afresh
            now, quoted = 0, False
        elif not quoted and byte in (OPEN_ARRAY, OPEN_OBJECT):
            now += 1
            deepest = max(deepest, now)
        elif not quoted and byte in (CLOSE_ARRAY, CLOSE_OBJECT):
            now -= 1
    return deepest
