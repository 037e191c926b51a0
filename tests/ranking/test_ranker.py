"""A ranker learns, survives saving, repeats itself and refuses what it cannot use."""

from pathlib import Path

import numpy as np
import pytest

from vernal.clock import ManualClock
from vernal.config import Training
from vernal.errors import ReleaseError, TrainingError
from vernal.ranking.ranker import Ranker, fit_ranker
from vernal.release import Lineage, Release, ReleaseStore

LINEAGE = Lineage(log_from=0, log_to=0, as_of=0, config="", plan="", code="", seed=0)


def examples(seed: int = 0, groups: int = 100) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(groups * 20, 6)).astype(np.float32)
    features[rng.random(features.shape) < 0.1] = np.nan
    labels = (np.nan_to_num(features[:, 0]) + 0.5 * np.nan_to_num(features[:, 1]) + rng.normal(size=len(features)) > 1.5).astype(np.float32)
    return features, labels, np.repeat(np.arange(groups), 20)


def saved(ranker: Ranker, folder: Path) -> Release:
    store = ReleaseStore(folder, ManualClock())
    draft = store.draft()
    ranker.save(draft)
    return store.commit(draft, LINEAGE, {})


@pytest.mark.parametrize("loss", ["Logloss", "YetiRank"])
def test_it_ranks_positives_above_negatives_of_examples_it_never_saw(loss: str) -> None:
    ranker = fit_ranker(*examples(0), Training(trees=40), loss=loss)  # type: ignore[arg-type]
    features, labels, _ = examples(1)
    scores = ranker.score(features)
    assert np.mean(scores[labels == 1][:, None] > scores[labels == 0][None, :]) > 0.75


def test_the_same_examples_and_seed_give_the_same_bytes() -> None:
    first, second = (fit_ranker(*examples(), Training(trees=30, seed=7)) for _ in range(2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first.forest, second.forest, strict=True))


def test_a_saved_ranker_scores_the_same_bytes(tmp_path: Path) -> None:
    ranker = fit_ranker(*examples(), Training(trees=30), names=["a", "b", "c", "d", "e", "f"])
    loaded = Ranker.load(saved(ranker, tmp_path))
    assert loaded is not None
    assert loaded.names == ranker.names
    features, _, _ = examples(2)
    assert loaded.score(features).tobytes() == ranker.score(features).tobytes()


def test_a_release_without_a_ranker_loads_none(tmp_path: Path) -> None:
    store = ReleaseStore(tmp_path, ManualClock())
    assert Ranker.load(store.commit(store.draft(), LINEAGE, {})) is None


def test_arrays_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    ranker = fit_ranker(*examples(), Training(trees=10))
    ranker.forest.feature[0, 0] = 99
    with pytest.raises(ReleaseError, match="does not exist"):
        Ranker.load(saved(ranker, tmp_path))


def test_the_feature_that_decides_has_the_largest_importance() -> None:
    shares = fit_ranker(*examples(), Training(trees=40)).facts["importance"]
    assert max(shares, key=shares.get) == "f0"
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)


def test_examples_without_positives_are_refused() -> None:
    features, labels, groups = examples()
    with pytest.raises(TrainingError, match="0 positives"):
        fit_ranker(features, labels * 0, groups, Training(trees=10))


def test_infinities_in_training_and_at_serving_are_harmless() -> None:
    features, labels, groups = examples()
    features[::7, 2], features[::11, 3] = -np.inf, np.inf
    ranker = fit_ranker(features, labels, groups, Training(trees=20))
    unknown = np.where(np.isneginf(features), np.float32(np.nan), features)
    assert np.isfinite(ranker.score(features)).all()
    assert ranker.score(features).tobytes() == ranker.score(unknown).tobytes()
