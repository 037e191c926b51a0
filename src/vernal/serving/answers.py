"""From a ranked slate to what is answered and what is logged. Pure, so replay makes the same bytes."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np

from vernal.events.schema import Slate
from vernal.ranking.explain import Why, sources_of
from vernal.ranking.features import QUERY
from vernal.ranking.recommender import Ranked
from vernal.ranking.request import Request
from vernal.serving.messages import Match, SlateAnswer, SlateItem
from vernal.serving.traffic import CHAMPION

names_of = lru_cache(maxsize=4_096)(sources_of)  # few masks ever occur


def slate_answer(ranked: Ranked, request: Request, rec_id: str, arm: str = CHAMPION) -> SlateAnswer:
    """The answer to a request."""
    whys: Sequence[Why | None] = ranked.reasons or [None] * len(ranked.ids)
    matches = matches_of(ranked) if ranked.match.shape[1] else [None] * len(ranked.ids)
    columns = zip(ranked.ids, ranked.scores.tolist(), ranked.sources.tolist(), ranked.propensities.tolist(), ranked.titles, whys, matches, strict=True)
    items = [SlateItem(item, score, names_of(mask), propensity, title, why, match) for item, score, mask, propensity, title, why, match in columns]
    return SlateAnswer(rec_id, ranked.release, request.scenario, arm, str(ranked.rung), items, list(ranked.notes))


def matches_of(ranked: Ranked) -> list[Match | None]:
    """How each item matches the text; none of one that was pinned and does not."""
    places = [QUERY.index(f"query.{name}") for name in ("lexical", "semantic", "relevance")]
    rows = zip(ranked.match[:, places].tolist(), ranked.personal.tolist(), strict=True)
    return [
        Match(lexical, None if semantic != semantic else semantic, relevance, own) if relevance == relevance else None
        for (lexical, semantic, relevance), own in rows
    ]


class Making(NamedTuple):
    """By whom an answer was made, and with how much trouble."""

    arm: str = CHAMPION
    settings: str = ""
    failed: int = 0  # attempts that threw


ORDINARY = Making()


def slate_record(ranked: Ranked, request: Request, rec_id: str, now_us: int, took_us: int, making: Making = ORDINARY) -> Slate:
    """What the log keeps of an answer: enough to make it again."""
    return Slate(
        rec_id=rec_id,
        time=now_us,
        user=request.user,
        scenario=request.scenario,
        arm=making.arm,
        release=ranked.release,
        rung=str(ranked.rung),
        request=msgspec.json.encode(request),
        seed=ranked.seed,
        user_offset=ranked.user_offset,
        item_offset=ranked.item_offset,
        hop=ranked.hop,
        items=ranked.ids,
        item_numbers=ranked.numbers.astype(np.uint32).tobytes(),
        propensities=ranked.propensities.tobytes(),
        scores=ranked.scores.tobytes(),
        features=ranked.features.tobytes(),
        took_us=took_us,
        segment=ranked.segment,
        settings=making.settings,
        failed=making.failed,
        teams=ranked.teams,
    )
