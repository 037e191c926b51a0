"""Claim quality_repeats: what a household buys next week, the grocery log of the demo, bought before or not.

Complete Journey, all of next week's purchases of every household that buys, asked at the week's beginning: the week after 2017-11-27, and the last week
of the log. Trained with the defaults on what came before, four past weeks asked the same way. The lists of popular products are tuned: the best of the grid
on the test week itself. Its authors call the log simulated from real shopping patterns.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from claims import report
from logs import found, log_of
from protocol import DAY_US, Stopwatch, World, asked_of, moment, past_examples, scored, weeks_before

from vernal.config import parse
from vernal.evaluation.backtest import showable
from vernal.evaluation.baselines import evaluate_lists
from vernal.evaluation.intervals import Interval, paired_ratio
from vernal.evaluation.metrics import PerCase
from vernal.evaluation.splits import Cases
from vernal.ranking.ranker import fit_ranker

NAME = "quality_repeats"
BAR = 2.2
WEEK = 7 * DAY_US
COLUMNS = ["category", "department", "brand"]
SETTINGS = parse({"events": {"types": {"purchase": {}}, "repeats": True}, "items": {"attributes": COLUMNS}, "training": {"moments": "window"}})
OWN_HALF_LIFE_DAYS = 60.0


def own_history(made: World, asked: Cases, k: int = 20) -> list[NDArray[np.int32]]:
    """What each household bought most, decayed with a half-life of 60 days: the simplest personal list."""
    lists = []
    for case in range(len(asked)):
        at = int(asked.at[case])
        before = made.history.before(at)
        mine = before.user == asked.user[case]
        weight = 0.5 ** ((at - before.time[mine]) / (OWN_HALF_LIFE_DAYS * DAY_US))
        total = np.bincount(before.item[mine], weight, minlength=1)
        best = np.argsort(-total, kind="stable")[:k]
        lists.append(best[total[best] > 0].astype(np.int32))
    return lists


def week(made: World, cut: int, watch: Stopwatch) -> dict[str, Any]:
    """Ours, the lists and the own history over the week after the cut."""
    hyper = watch.run("search", lambda: made.tuned(cut))
    examples = watch.run("examples", lambda: past_examples(made, weeks_before(cut, SETTINGS.training.windows, WEEK, "window"), hyper))
    ranker = watch.run("ranker", lambda: fit_ranker(examples.features, examples.labels, examples.groups, SETTINGS.training, made.names))
    models = watch.run("models", lambda: made.models(cut, hyper))
    asked = made.cases(cut, cut + WEEK, "window")
    ours = scored(asked_of(made.recommender(models, ranker), made.walk(), asked), asked)
    lists = evaluate_lists(made.history, SETTINGS.events, asked, showable(made.catalogue, made.history))
    return {"asked": asked, "ours": ours, "own": scored(own_history(made, asked), asked), "lists": lists}


def ratio(found_week: dict[str, Any], theirs: PerCase) -> Interval:
    return paired_ratio(found_week["ours"].ndcg_10, theirs.ndcg_10, found_week["asked"].user)


def run() -> dict[str, Any]:
    """Both weeks."""
    made, watch = World(SETTINGS, *log_of("completejourney", COLUMNS)), Stopwatch()
    end = int(made.history.received_at[-1]) + 1
    weeks = {"2017-11-27": week(made, moment("2017-11-27"), watch), "last week": week(made, end - WEEK, watch)}
    ratios = {name: ratio(each, each["lists"].by_name[each["lists"].best]) for name, each in weeks.items()}
    measured: dict[str, Any] = {}
    baselines: dict[str, Any] = {}
    for name, each in weeks.items():
        low, high = ratios[name].low, ratios[name].high
        measured |= {f"{name}: ratio": ratios[name].value, f"{name}: interval": [low, high], f"{name}: NDCG@10": each["ours"].means()["ndcg@10"]}
        baselines |= {f"{name}: popular, {popular}": per_case.means()["ndcg@10"] for popular, per_case in each["lists"].by_name.items()}
        baselines[f"{name}: own purchases, half-life 60 d"] = each["own"].means()["ndcg@10"]
        baselines[f"{name}: ours over own purchases, ratio and interval"] = list(ratio(each, each["own"]))
    return {
        "claim": NAME,
        "bar": f"NDCG@10 at least {BAR}x the best tuned non-personalised list",
        "measured": measured,
        "unit": "x the best list; 95% intervals over households",
        "holds": min(found_ratio.value for found_ratio in ratios.values()) >= BAR,
        "baselines": baselines,
        "seeds": [SETTINGS.training.seed],
        "notes": "; ".join(f"{name}: {len(each['asked'])} households, best list {each['lists'].best}" for name, each in weeks.items())
        + ". CPU s for both weeks: "
        + ", ".join(f"{stage} {cpu:.0f}" for stage, cpu in watch)
        + ".",
    }


def main() -> None:
    if not found("completejourney"):
        sys.exit(f"{NAME}: needs ../shared/data/completejourney")
    result = run()
    report(result.pop("claim"), **result)


if __name__ == "__main__":
    main()
