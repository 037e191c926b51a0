"""Training: the log as it stands becomes a release.

snapshot -> item models -> past requests as examples -> ranker -> backtest on the last stretch -> fit on everything -> release -> promotion

The last stretch judges models and a ranker that never saw it; then the same settings are fitted on the whole log, which is what serves. Equal log, settings and
seed give equal bytes, whatever an earlier training left in the memo: that only saves making again what did not change (`remembering`).
"""

import importlib.metadata
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import msgspec

from vernal.evaluation.backtest import Backtest, Report, plain, showable
from vernal.evaluation.metrics import PerCase
from vernal.evaluation.splits import Cases, cases
from vernal.features.walk import Walk
from vernal.memo import Memo
from vernal.ranking.exploring import Rates
from vernal.ranking.features import QUERY, feature_names
from vernal.ranking.parts import BEST_LIST, Parts, save_static
from vernal.ranking.ranker import Ranker, fit_ranker
from vernal.ranking.recommender import Recommender
from vernal.ranking.searching import DEFAULTS, Blend
from vernal.release import Draft, Lineage, Release
from vernal.retrieval.clicks import QueryClicks
from vernal.retrieval.ials import Hyper
from vernal.retrieval.models import Content, ItemModels, fit
from vernal.retrieval.tuner import tune
from vernal.terms import US_PER_S
from vernal.training.examples import Examples, joined, simulate
from vernal.training.impressions import Logged, Shown, before, feeds, searched, searches, shown
from vernal.training.meaning import put_semantic
from vernal.training.ports import Progress, TrainingSpace, silent
from vernal.training.remembering import Remembering
from vernal.training.snapshot import Snapshot
from vernal.training.trial import SETTINGS, Trial

Carry = Callable[[Draft, Snapshot], None]  # puts what else travels in a release
LEAST_GROUPS = 20  # requests with an outcome a ranker needs
FITTERS = 2  # item models fitted side by side; part of nothing that decides bytes


@dataclass(frozen=True)
class Trained:
    """What training made, before it is a release."""

    models: ItemModels
    ranker: Ranker | None
    report: Report | None
    hyper: Hyper
    blend: Blend = DEFAULTS
    rates: Rates | None = None


def train(
    space: TrainingSpace, progress: Progress = silent, *, promote: bool = True, snapshot: Snapshot | None = None, carry: Carry | None = None
) -> tuple[Release, Report | None]:
    """A new release of the log as it stands, put in charge, and how it did on the last stretch.

    Parameters
    ----------
    progress : told (stage, done, total)
    promote : put it in charge at once, judged by nobody; the gate's way is `rollout.gate`
    snapshot : of the space's log, where the caller has read it already
    carry : puts what else is to travel in the release, made from the snapshot alone

    The report is none when the log is too short to hold anything back.

    Raises
    ------
    TrainingError
        Not one positive event.

    Cost: bench/train_time.
    """
    progress("snapshot", 0, 1)
    snapshot = snapshot or Snapshot.of(space)
    progress("snapshot", 1, 1)
    logged = shown(space, snapshot, feature_names(snapshot.plan)) if space.settings.training.ranker else Logged(deque(), deque())
    memory = Remembering(space.memo, snapshot)
    trained = fitted(snapshot, logged, progress, memory)
    release = committed(space, snapshot, trained, memory, carry)
    memory.keep(space, lineage(snapshot))
    if promote:
        space.releases.promote(release.name, "trained")
        space.releases.prune(space.settings.training.keep)
    progress("release", 1, 1)
    return release, trained.report


def fitted(snapshot: Snapshot, logged: Logged, progress: Progress, memory: Remembering) -> Trained:
    """Models, ranker and report of a snapshot; `logged` is what was really shown."""
    training, (cut, end), width = snapshot.settings.training, snapshot.last_stretch, len(feature_names(snapshot.plan))
    course = Course(snapshot, progress, memory)
    parts, trial = course.trial(logged.chosen)
    report, last = course.last(trial)
    whole = course.models_of(end)
    progress("models", 1, 1)
    ranker = ranker_of([*parts, last, before(logged.chosen, end, width)], snapshot) if training.ranker else None
    progress("ranker", 1, 1)
    return Trained(
        whole, ranker, report, course.hyper, blend_of(trial, searches(logged.chosen, cut, width)), rates_of(trial, feeds(logged.every, cut, width), snapshot)
    )


def refitted(space: TrainingSpace, snapshot: Snapshot, asked: Cases) -> PerCase:
    """What a release of the snapshot's settings, fitted before its last stretch, reaches on cases of that stretch. Cost: most of a training."""
    slates = shown(space, snapshot, feature_names(snapshot.plan)).chosen if snapshot.settings.training.ranker else []
    course = Course(snapshot, silent, Remembering(Memo(None), snapshot), whole=False)
    _, ranker = course.trial(slates)
    test = course.test(ranker, course.models_of(snapshot.last_stretch[0]), asked)
    for case in range(len(asked)):
        test.ask(case)
    return test.quality


class Course:
    """One pass through the snapshot: the windows, then the last stretch, with item models as of each beginning, fitted side by side.

    Parameters
    ----------
    memory : what need not be made again
    whole : fit the models of the end too
    """

    def __init__(self, snapshot: Snapshot, progress: Progress, memory: Remembering, *, whole: bool = True) -> None:
        self.snapshot, self.progress, self.memory = snapshot, progress, memory
        self.walk = Walk(snapshot.plan, snapshot.settings, snapshot.history, snapshot.catalogue)
        cut, end = snapshot.last_stretch
        self.hyper = self.searched()
        progress("search", 1, 1)
        self.known = {begin: memory.recall(self.key_of_window(begin, end), Examples.load) for begin, end in self.asked_windows}
        self.models = memory.recall(self.key_of_models, ItemModels.load)
        moments = [*(begin for begin, examples in self.known.items() if examples is None), *([] if self.models else [cut]), *([end] if whole else [])]
        self.content = Content.of(snapshot.catalogue, max(len(snapshot.catalogue), snapshot.history.n_items)) if moments else None
        self.pool = ThreadPoolExecutor(FITTERS)
        self.fits = {at: self.pool.submit(self.fit, at, indexed=at >= cut) for at in moments}

    @property
    def asked_windows(self) -> list[tuple[int, int]]:
        return self.snapshot.windows if self.snapshot.settings.training.ranker else []

    def searched(self) -> Hyper:
        """The hyper-parameters that did best before the last stretch."""
        snapshot, cut = self.snapshot, self.snapshot.last_stretch[0]
        key = self.memory.key("search", cut)
        found = self.memory.recall(key, lambda kept: Hyper(**kept.json("hyper")))
        if found is None:
            found, _ = tune(snapshot.known(cut), snapshot.settings, cut, snapshot.settings.training.seed)
            self.memory.note(key, lambda draft, hyper=found: draft.put_json("hyper", asdict(hyper)))  # type: ignore[misc]
        return found

    def fit(self, at: int, *, indexed: bool) -> ItemModels:
        snapshot = self.snapshot
        seed = snapshot.settings.training.seed
        return fit(snapshot.known(at), snapshot.catalogue, snapshot.settings, at, seed, self.hyper, self.content, indexed=indexed)

    @property
    def key_of_models(self) -> str:
        """Of the models of the trial."""
        return self.memory.key("models", self.snapshot.last_stretch[0], asdict(self.hyper))

    def models_of(self, at: int) -> ItemModels:
        """The models as of a beginning, waited for; asked for once."""
        if self.models and at == self.snapshot.last_stretch[0]:
            return self.models
        made = self.fits.pop(at).result()
        if at == self.snapshot.last_stretch[0]:
            self.memory.note(self.key_of_models, made.save)
        return made

    def key_of_window(self, begin: int, end: int) -> str:
        return self.memory.key("examples", end, begin, self.most(begin, end), self.snapshot.number(begin), asdict(self.hyper))

    def most(self, begin: int, end: int) -> int:
        """Requests asked of a window; of one that is not whole yet in proportion."""
        share = max(1, self.snapshot.settings.training.requests // len(self.snapshot.windows))
        return max(1, share * (end - begin) // self.snapshot.window_us)

    def windows(self) -> Iterator[Examples]:
        """Examples of each past window."""
        for number, (begin, end) in enumerate(self.asked_windows):
            found = self.known[begin]
            if found is None:
                found = self.simulated(self.models_of(begin), self.asked(begin, end, self.most(begin, end)), self.snapshot.number(begin))
                self.memory.note(self.key_of_window(begin, end), found.save)
            yield found
            self.progress("examples", number + 1, len(self.asked_windows))

    def trial(self, slates: Sequence[Shown]) -> tuple[list[Examples], Ranker | None]:
        """The examples of the windows, and a ranker that saw nothing of the last stretch."""
        if not self.snapshot.settings.training.ranker:
            return [], None
        (cut, _), width = self.snapshot.last_stretch, len(feature_names(self.snapshot.plan))
        parts = list(self.windows())
        examples = joined([*parts, before(slates, cut, width)], width)
        key = self.memory.key("ranker", cut, examples.features, examples.labels, examples.groups)
        ranker = self.memory.recall(key, Ranker.load) or ranker_of([examples], self.snapshot)
        if ranker is not None and key not in self.memory.used:
            self.memory.note(key, ranker.save)
        return parts, ranker

    def asked(self, begin: int, end: int, most: int) -> Cases:
        snapshot = self.snapshot
        every = cases(snapshot.history, snapshot.settings.events, begin, end, snapshot.settings.training.moments)
        return every.sample(most, snapshot.settings.training.seed + snapshot.number(begin))

    def simulated(self, models: ItemModels, asked: Cases, number: int, each: Callable[[int], object] = lambda _: None) -> Examples:
        snapshot = self.snapshot
        return simulate(self.walk, models, snapshot.plan, snapshot.settings, asked, snapshot.settings.training.seed + number, each)

    def last(self, ranker: Ranker | None) -> tuple[Report | None, Examples]:
        """The backtest on the last stretch, and its examples for the final ranker."""
        snapshot, (cut, end) = self.snapshot, self.snapshot.last_stretch
        training, models = snapshot.settings.training, self.models_of(cut)
        asked = self.asked(cut, end, training.evaluate_requests)
        if not len(asked) or not snapshot.history.available_before(cut):
            return None, Examples.none(len(feature_names(snapshot.plan)))
        test = self.test(ranker, models, asked)
        examples = self.simulated(models, asked, snapshot.number(cut), test.ask)
        report = test.report(showable(snapshot.catalogue, snapshot.history))
        self.progress("evaluation", 1, 1)
        return report, examples

    def test(self, ranker: Ranker | None, models: ItemModels, asked: Cases) -> Backtest:
        """The trial: models and ranker that saw nothing of these cases."""
        snapshot = self.snapshot
        return Backtest(Recommender(Parts("trial", models, ranker), snapshot.plan, plain(snapshot.settings)), self.walk, asked)


def blend_of(trial: Ranker | None, asked: Examples) -> Blend:
    """The weights of relevance and taste, from searches that the trial's ranker has not seen."""
    if trial is None or not len(asked):
        return Blend()
    relevance = asked.features[:, trial.names.index(QUERY[2])]
    return Blend.fitted(relevance, trial.score(asked.features), asked.labels, asked.groups)


def rates_of(trial: Ranker | None, asked: Examples, snapshot: Snapshot) -> Rates | None:
    """From scores to shares of clicks, by slates that the trial's ranker has not seen."""
    return Rates.fitted(trial.score(asked.features), asked.labels, snapshot.settings) if trial is not None else None


def ranker_of(parts: list[Examples], snapshot: Snapshot) -> Ranker | None:
    """A ranker fitted on the examples; none when there are too few to learn an order from."""
    names = feature_names(snapshot.plan)
    examples = joined(parts, len(names))
    if not len(examples) or int(examples.groups[-1]) + 1 < LEAST_GROUPS:
        return None
    return fit_ranker(examples.features, examples.labels, examples.groups, snapshot.settings.training, names)


def committed(space: TrainingSpace, snapshot: Snapshot, trained: Trained, memory: Remembering, carry: Carry | None = None) -> Release:
    """The release, sealed; a draft that fails to be written leaves nothing behind."""
    draft = space.releases.draft()
    try:
        trained.models.save(draft)
        if trained.ranker is not None:
            trained.ranker.save(draft)
        save_static(draft, standing_list(snapshot))
        if trained.report is not None:
            save_best_list(draft, snapshot.plan.trending, trained.report)
        asked = searched(space, snapshot)
        put_semantic(draft, snapshot, space, memory, asked)
        trained.blend.save(draft)
        if trained.rates is not None:
            trained.rates.save(draft)
        QueryClicks.fit(asked, snapshot.as_of // US_PER_S).save(draft)
        if carry is not None:
            carry(draft, snapshot)
        draft.put_json(SETTINGS, msgspec.to_builtins(snapshot.settings.shaping()))
        if trained.report is not None:
            Trial.of(trained.report, snapshot.last_stretch).save(draft)
        metrics = {"evaluation": trained.report.as_dict() if trained.report else None}
        return space.releases.commit(draft, lineage(snapshot), metrics)
    except BaseException:
        space.releases.discard(draft)
        raise


def lineage(snapshot: Snapshot) -> Lineage:
    return Lineage(
        log_from=1,
        log_to=snapshot.log_to,
        as_of=snapshot.as_of,
        config=snapshot.settings.fingerprint(),
        plan=snapshot.plan.fingerprint,
        code=importlib.metadata.version("vernal"),
        seed=snapshot.settings.training.seed,
    )


def save_best_list(draft: Draft, kept: Sequence[str], report: Report) -> None:
    """Writes which of the lists that serving keeps live did best: the holdout is answered from it."""
    reached = {half_life: report.lists.by_name[name].means()["ndcg@10"] for half_life in kept if (name := f"half-life {half_life}") in report.lists.by_name}
    if reached:
        best = max(reached, key=lambda half_life: reached[half_life])
        draft.put_json(
            BEST_LIST, {"half_life": best, "ndcg@10": reached[best], "best_of_all": report.lists.best, "its_ndcg@10": report.theirs.means()["ndcg@10"]}
        )


def standing_list(snapshot: Snapshot, most: int = 500) -> list[tuple[str, int]]:
    """(id, number) of what was most popular over the longest half-life, as of the snapshot: shown when nothing else works."""
    walk = Walk(snapshot.plan, snapshot.settings, snapshot.history, snapshot.catalogue)
    walk.to(snapshot.as_of)
    row = walk.live.top[len(snapshot.plan.trending) - 1]
    return [(snapshot.catalogue.ids[number], int(number)) for number in row[:most] if number >= 0]
