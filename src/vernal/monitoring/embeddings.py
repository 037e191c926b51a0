"""Embeddings as columns: length, closeness to the reference's centre, and sixteen fixed random projections, each an ordinary numeric column.

The projections are drawn from a seed and the number of dimensions only, so every shard and every version uses the same ones; a shift of the mean of an
embedding, in any direction, moves the projections by about its length over the square root of the dimension.

Source: Rabanser, Guennemann and Lipton (2019), "Failing loudly": a few projections with tests of one column each are hard to beat.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vernal.monitoring.schema import Column, Stream

Floats = NDArray[np.float64]
PROJECTIONS: Final = 16


def columns_of(name: str) -> list[Column]:
    """The watched columns of an embedding, in the order of `summarised`."""
    parts = ["length", "closeness", *(f"projection_{k:02d}" for k in range(PROJECTIONS))]
    return [Column(f"{name}.{part}", stream=Stream.EMBEDDING) for part in parts]


def centre_of(vectors: NDArray[np.float32]) -> Floats:
    """(dim,) mean direction of a reference's vectors, frozen with it."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray((vectors / np.maximum(lengths, 1e-12)).mean(axis=0), np.float64)


def summarised(vectors: NDArray[np.float32], centre: Floats, seed: int = 0) -> Floats:
    """(n, 18) length, cosine with the centre, projections; all NaN for a vector of length 0, which counts as missing.

    Parameters
    ----------
    vectors : (n, dim)
    centre : (dim,) from `centre_of`

    Cost: 0.1 us per vector at 64 dimensions, a matrix product.
    """
    wide = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(wide, axis=1)
    closeness = wide @ centre / np.maximum(lengths * np.linalg.norm(centre), 1e-12)
    made = np.column_stack([lengths, closeness, wide @ directions(wide.shape[1], seed)])
    made[lengths == 0] = np.nan
    return made


def directions(dim: int, seed: int = 0) -> Floats:
    """(dim, 16) unit vectors."""
    drawn = np.random.default_rng([seed, dim]).standard_normal((dim, PROJECTIONS))
    return drawn / np.linalg.norm(drawn, axis=0)
