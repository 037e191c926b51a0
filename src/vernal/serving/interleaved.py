"""An engine made of two: every slate is drafted from both, place by place, and says whose each place is."""

from typing import Any

import numpy as np

from vernal.evaluation.interleaving import Drafted, drafted
from vernal.features.ports import UserState
from vernal.ranking.ladder import PLACE, UNLIMITED, Budget
from vernal.ranking.ports import LiveTable
from vernal.ranking.recommender import NO_MATCH, Ranked, Recommender, unexplored
from vernal.ranking.request import Request


class Interleaved:
    """Answers like a `Recommender`; nothing but the coins of the draft is left to chance, so that the chance of every place is known.

    Cost: both engines' answers, and 10 us.
    """

    def __init__(self, first: Recommender, second: Recommender) -> None:
        self.parts, self.settings = first.parts, first.settings
        self.engines = tuple(engine.under(unexplored(engine.settings)) for engine in (first, second))

    def recommend(self, request: Request, user: UserState | None, live: LiveTable | None, now_us: int, seed: int, budget: Budget = UNLIMITED) -> Ranked:
        one, other = (engine.recommend(request, user, live, now_us, seed, budget) for engine in self.engines)
        n = max(len(one.numbers), len(other.numbers))
        return merged(one, other, drafted(one.numbers, other.numbers, n, seed))


def merged(one: Ranked, other: Ranked, draft: Drafted) -> Ranked:
    """The drafted slate, with what each ranking knew of its places."""
    rows = draft.place + draft.team.astype(np.int32) * len(one.numbers)
    listed, same = rows.tolist(), one.features.shape[1] == other.features.shape[1]

    def picked(name: str) -> Any:
        mine, theirs = getattr(one, name), getattr(other, name)
        return [[*mine, *theirs][row] for row in listed] if isinstance(mine, list) else np.concatenate([mine, theirs])[rows]

    columns = {name: picked(name) for name in ("numbers", "ids", "titles", "scores", "sources", "placed_by", "personal")}
    matched = one.match.shape[1] == other.match.shape[1]
    return max((one, other), key=lambda ranked: PLACE[ranked.rung])._replace(
        **columns,
        release=one.release,
        propensities=draft.chance,
        features=picked("features") if same else np.empty((len(rows), 0), np.float32),
        match=picked("match") if matched else NO_MATCH[: len(rows)],
        reasons=picked("reasons") if one.reasons and other.reasons else [],
        notes=tuple(dict.fromkeys([*one.notes, *other.notes])),
        teams=draft.team.tobytes(),
    )
