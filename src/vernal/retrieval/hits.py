"""What a search leg answers."""

from typing import NamedTuple

import numpy as np

from vernal.retrieval.linear import F32, I32


class Hits(NamedTuple):
    """Items with their scores, best first, equal scores by item number."""

    item: I32  # (n,) distinct
    score: F32  # (n,)

    @classmethod
    def none(cls) -> "Hits":
        return cls(np.empty(0, np.int32), np.empty(0, np.float32))
