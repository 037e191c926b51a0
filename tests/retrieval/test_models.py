import numpy as np
from grove import NOW_US, SETTINGS, catalogue_of, history_of

from vernal.clock import ManualClock
from vernal.release import Lineage, ReleaseStore
from vernal.retrieval.candidates import Query, retrieve
from vernal.retrieval.models import ItemModels, fit

LINEAGE = Lineage(log_from=1, log_to=2, as_of=NOW_US, config="", plan="", code="", seed=7)


def test_saving_and_loading_changes_nothing(models, live, rings, tmp_path) -> None:
    store = ReleaseStore(tmp_path, ManualClock())
    draft = store.draft()
    models.save(draft)
    loaded = ItemModels.load(store.commit(draft, LINEAGE, {}))
    assert loaded.parts[0] == models.parts[0]
    assert all(loaded.parts[1][name].tobytes() == array.tobytes() for name, array in models.parts[1].items())
    before, after = (retrieve(m, rings[3], live, Query(NOW_US // 1_000_000), SETTINGS) for m in (models, loaded))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True))


def test_the_same_inputs_and_seed_give_the_same_bytes(models, history, catalogue) -> None:
    again = fit(history, catalogue, SETTINGS, NOW_US, 7)
    assert all(again.parts[1][name].tobytes() == array.tobytes() for name, array in models.parts[1].items())


def test_an_empty_history_gives_models_that_propose_nothing() -> None:
    nothing = fit(history_of(1).rows(slice(0, 0)), catalogue_of(), SETTINGS, NOW_US, 0)
    assert not nothing.factors.vectors.any()
    assert not len(nothing.relations.matrix("ease").column)
    assert len(nothing.relations.matrix("content").column)


def test_arrays_cannot_be_written(models) -> None:
    assert not any(array.flags.writeable for array in models.parts[1].values())


def test_items_with_few_events_keep_the_vector_of_their_content(history, catalogue) -> None:
    rows = history.rows(history.item != 9)
    models = fit(rows, catalogue, SETTINGS, NOW_US, 0)
    like = models.factors.vectors @ models.factors.vectors[9]
    groups = np.argsort(-like)[:10] % 4
    assert np.mean(groups == 1) >= 0.8
