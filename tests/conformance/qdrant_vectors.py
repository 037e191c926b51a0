"""Qdrant behind the port of vector indexes: what a shop that outgrew one machine would put there. Local mode here; a server takes the same calls."""

import numpy as np
from qdrant_client import QdrantClient, models

from vernal.retrieval.hits import Hits

NAME = "items"


class QdrantVectors:
    """Implements `VectorIndex`. Masks become a condition on ids, which fits catalogues of a test; a server filters on payloads."""

    def __init__(self, client: QdrantClient, dim: int) -> None:
        self.client, self.dim = client, dim
        client.create_collection(NAME, models.VectorParams(size=dim, distance=models.Distance.DOT))

    def search(self, vector, k, mask=None):
        allowed = None if mask is None else models.Filter(must=[models.HasIdCondition(has_id=[int(item) for item in eligible(mask)])])
        found = self.client.query_points(NAME, query=vector.tolist(), query_filter=allowed, limit=k).points
        pairs = sorted((-point.score, point.id) for point in found if point.score > 0)
        return Hits(np.array([item for _, item in pairs], np.int32), np.array([-score for score, _ in pairs], np.float32))

    def scores(self, vector, items):
        return (self.rows(items) @ vector).astype(np.float32)

    def rows(self, items):
        known = {point.id: point.vector for point in self.client.retrieve(NAME, [item for item in items.tolist() if item >= 0], with_vectors=True)}
        return np.array([known.get(item, [0.0] * self.dim) for item in items.tolist()], np.float32).reshape(-1, self.dim)

    def put(self, items, vectors):
        kept = vectors.any(axis=1)
        self.delete(items[~kept])
        if kept.any():
            points = zip(items[kept].tolist(), vectors[kept].tolist(), strict=True)
            self.client.upsert(NAME, [models.PointStruct(id=item, vector=vector) for item, vector in points])

    def delete(self, items):
        if len(items):
            self.client.delete(NAME, models.PointIdsList(points=items.tolist()))


def eligible(mask):
    """The items a mask lets through."""
    numbers = np.flatnonzero((mask.flags[: mask.n] & (2 | mask.need)) == mask.need)
    return numbers if not len(mask.allowed) else numbers[mask.allowed[numbers] != 0]
