"""Training turns the log into a release: repeatable, better than a list, in charge, and never from the future."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.errors import TrainingError
from vernal.events.schema import Kind
from vernal.ranking.parts import Parts
from vernal.testing.village import START_US, village_events, village_items, village_settings
from vernal.training.snapshot import Snapshot
from vernal.training.train import train

Village = Callable[..., Workspace]


def test_a_release_has_all_its_parts_and_is_in_charge(village: Village) -> None:
    workspace = village()
    release, report = train(workspace)
    parts = Parts.of(workspace.releases.open(release.name), workspace.plan)
    assert parts.problems == ()
    assert parts.models is not None
    assert parts.ranker is not None
    assert len(parts.static) > 0
    assert workspace.releases.champion() == release.name
    assert report is not None


def test_the_same_log_settings_and_seed_give_the_same_bytes(village: Village) -> None:
    one, other = (train(village(name))[0] for name in ("one", "other"))
    assert one.manifest.files == other.manifest.files
    assert one.manifest.lineage == other.manifest.lineage
    assert one.manifest.metrics == other.manifest.metrics


def test_another_seed_gives_other_bytes(village: Village) -> None:
    settings = village_settings()
    other = msgspec.structs.replace(settings, training=msgspec.structs.replace(settings.training, seed=1))
    assert train(village("one", settings))[0].manifest.files != train(village("other", other))[0].manifest.files


def test_tastes_are_learnt_better_than_any_list_and_the_manifest_says_so(village: Village) -> None:
    release, report = train(village(per_day=120))
    assert report is not None
    assert report.gain.low > 0
    assert release.manifest.metrics["evaluation"]["best_list"] == report.lists.best
    assert release.manifest.metrics["evaluation"]["release"]["ndcg@10"] == round(report.ours.means()["ndcg@10"], 5)


def test_lineage_names_the_log_the_settings_and_the_seed(village: Village) -> None:
    workspace = village()
    lineage = train(workspace)[0].manifest.lineage
    assert (lineage.log_to, lineage.config, lineage.plan) == (workspace.log.end(), workspace.settings.fingerprint(), workspace.plan.fingerprint)


def test_without_promotion_the_release_in_charge_stays(village: Village) -> None:
    workspace = village()
    first, _ = train(workspace)
    second, _ = train(workspace, promote=False)
    assert workspace.releases.champion() == first.name != second.name


def test_a_log_of_one_event_still_makes_a_release_that_says_what_it_lacks(village: Village) -> None:
    workspace = village(days=1, per_day=1)
    release, report = train(workspace)
    parts = Parts.of(release, workspace.plan)
    assert report is None
    assert parts.ranker is None
    assert parts.models is not None


def test_no_events_at_all_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "empty", village_settings(), ManualClock(START_US))
    workspace.log.append(Kind.ITEMS, village_items(3))
    with pytest.raises(TrainingError, match="import more history"):
        train(workspace)
    workspace.close()


def test_events_after_the_snapshot_are_not_used(village: Village) -> None:
    workspace = village()
    snapshot = Snapshot.of(workspace)
    workspace.log.append(Kind.EVENTS, [msgspec.structs.replace(event, event_id=f"late-{event.event_id}") for event in village_events(village_items(), days=1)])
    assert snapshot.log_to < workspace.log.end()
    assert int(snapshot.history.received_at[-1]) < snapshot.as_of


def test_progress_names_its_stages_in_order(village: Village) -> None:
    stages: list[str] = []
    train(village(), lambda stage, *_: stages.append(stage))
    assert list(dict.fromkeys(stages)) == ["snapshot", "search", "examples", "evaluation", "models", "ranker", "release"]


def test_a_log_shorter_than_the_stretch_it_would_be_judged_on_makes_a_release(village: Village) -> None:
    release, report = train(village(days=3))
    assert report is None
    assert release.manifest.files
