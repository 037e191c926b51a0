"""Examples are what was known then, and what was chosen next."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vernal.app import Workspace
from vernal.evaluation.splits import cases
from vernal.features.walk import Walk
from vernal.ranking.features import feature_names
from vernal.retrieval.models import fit
from vernal.training.examples import Examples, joined, simulate, thinned
from vernal.training.snapshot import Snapshot


def examples(snapshot: Snapshot, seed: int = 0) -> Examples:
    begin, end = snapshot.last_stretch
    models = fit(snapshot.history, snapshot.catalogue, snapshot.settings, begin, 0)
    walk = Walk(snapshot.plan, snapshot.settings, snapshot.history, snapshot.catalogue)
    asked = cases(snapshot.history, snapshot.settings.events, begin, end).sample(60, 0)
    return simulate(walk, models, snapshot.plan, snapshot.settings, asked, seed)


def test_every_request_kept_has_what_was_chosen_and_what_was_not(village: Callable[..., Workspace]) -> None:
    snapshot = Snapshot.of(village())
    found = examples(snapshot)
    positives = np.bincount(found.groups, found.labels)
    sizes = np.bincount(found.groups)
    assert found.features.shape == (len(found), len(feature_names(snapshot.plan)))
    assert (positives > 0).all()
    assert (positives < sizes).all()
    assert (np.diff(found.groups) >= 0).all()


def test_what_comes_after_a_request_changes_no_feature_of_it(village: Callable[..., Workspace]) -> None:
    snapshot = Snapshot.of(village())
    begin, _ = snapshot.last_stretch
    asked = cases(snapshot.history, snapshot.settings.events, begin, snapshot.as_of).sample(30, 1)
    moment = int(asked.at[-1])
    models = fit(snapshot.history, snapshot.catalogue, snapshot.settings, begin, 0)
    whole, cut = (Walk(snapshot.plan, snapshot.settings, history, snapshot.catalogue) for history in (snapshot.history, snapshot.history.before(moment)))
    one, other = (simulate(walk, models, snapshot.plan, snapshot.settings, asked, 0) for walk in (whole, cut))
    assert one.features.tobytes() == other.features.tobytes()


def test_models_fitted_as_of_a_moment_do_not_change_with_what_came_later(village: Callable[..., Workspace]) -> None:
    snapshot = Snapshot.of(village())
    begin, _ = snapshot.last_stretch
    one = fit(snapshot.history, snapshot.catalogue, snapshot.settings, begin, 0)
    other = fit(snapshot.history.before(begin), snapshot.catalogue, snapshot.settings, begin, 0)
    assert one.factors.vectors.tobytes() == other.factors.vectors.tobytes()


def test_the_same_seed_keeps_the_same_rows(village: Callable[..., Workspace]) -> None:
    snapshot = Snapshot.of(village())
    one, other = examples(snapshot, 3), examples(snapshot, 3)
    assert one.features.tobytes() == other.features.tobytes()
    assert one.labels.tobytes() == other.labels.tobytes()


def test_thinning_keeps_every_positive_and_as_many_others_as_asked() -> None:
    labels = np.zeros(50, np.float32)
    labels[[3, 40]] = 1
    kept = thinned(labels, 10, np.random.default_rng(0))
    assert len(kept) == 12
    assert {3, 40} <= set(kept.tolist())


def test_joined_examples_keep_their_requests_apart() -> None:
    part = Examples(np.ones((3, 2), np.float32), np.array([1, 0, 0], np.float32), np.array([0, 0, 1]))
    both = joined([part, Examples.none(2), replace(part)], 2)
    assert both.groups.tolist() == [0, 0, 1, 2, 2, 3]
