"""An embedding is watched as ordinary columns."""

import numpy as np
import pytest

from vernal.monitoring.embeddings import centre_of, columns_of, summarised
from vernal.monitoring.schema import Stream

VECTORS = np.random.default_rng(0).standard_normal((2_000, 32)).astype(np.float32) + 0.5


def test_every_column_has_its_place_and_belongs_to_the_embeddings_stream() -> None:
    columns = columns_of("item")
    assert summarised(VECTORS, centre_of(VECTORS)).shape == (2_000, len(columns))
    assert {c.stream for c in columns} == {Stream.EMBEDDING}


def test_a_shift_of_the_mean_moves_the_projections_and_a_longer_vector_the_length() -> None:
    centre = centre_of(VECTORS)
    usual, moved = summarised(VECTORS, centre), summarised(VECTORS + np.eye(32, dtype=np.float32)[3], centre)
    assert np.abs(moved[:, 2:].mean(axis=0) - usual[:, 2:].mean(axis=0)).max() > 0.2
    assert summarised(2 * VECTORS, centre)[:, 0] == pytest.approx(2 * usual[:, 0])
    assert summarised(2 * VECTORS, centre)[:, 1] == pytest.approx(usual[:, 1])


def test_a_vector_of_zeros_is_missing() -> None:
    made = summarised(np.zeros((1, 32), np.float32), centre_of(VECTORS))
    assert np.isnan(made).all()


def test_the_projections_are_the_same_in_every_shard() -> None:
    centre = centre_of(VECTORS)
    whole = summarised(VECTORS, centre)
    assert np.concatenate([summarised(VECTORS[:700], centre), summarised(VECTORS[700:], centre)]) == pytest.approx(whole, rel=1e-12)
