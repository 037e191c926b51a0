"""Claim search_personalised: what it brings to know who searches.

    python bench/search_personalised.py [--small]

Real people and real choices (MovieTweetings), the texts of the films they chose (Wikipedia), and a simulator in between that turns a choice into a search: two
words of the film's title or text, each found in many films. The server's own parts answer, moment by moment: state folded from the log, the release, the index
of words. In the learning period the searcher looks down the slate, position k with probability 1 / log2(2 + k), and chooses the film if they come to it; slates
and choices are logged, and a release is trained on them. In the test period that follows the same film is to be found by the same kind of query, and nothing is
learned.

Compared on the same queries and moments, of the same release: who searches is known; nobody is known; and relevance alone.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import polars as pl
from claims import contestant, report
from logs import SHARED, found

from vernal.app import Workspace
from vernal.clock import ManualClock
from vernal.config import parse
from vernal.evaluation.intervals import paired_difference, paired_ratio
from vernal.events.schema import Event, Item, Kind
from vernal.features.fold import user_state
from vernal.features.live import LiveItems
from vernal.features.records import user_key
from vernal.features.weights import hop
from vernal.ranking.parts import Parts, finder_of
from vernal.ranking.recommender import Ranked, Recommender
from vernal.ranking.request import Request
from vernal.retrieval.analysis import Analyser
from vernal.retrieval.lexical import Lexical
from vernal.serving.answers import slate_record
from vernal.serving.folding import Folding
from vernal.serving.slates import seed_of
from vernal.training.train import train

NAME = "search_personalised"
BAR = "nDCG@10 of searches with the user at least 10 % above the same hybrid without, interval excluding 0; a user with no history loses nothing"
TREE: dict[str, Any] = {
    "events": {"types": {"rating": {}}, "default_type": "rating"},
    "items": {"attributes": ["genres"]},
    "scenarios": {"search": {"temperature": 0.3, "n": 20}},
}
LEARNED, TESTED = 4_000, 2_000  # searches
BEFORE = 0.6  # share of the ratings that come before the first search
EVERY = 4  # one choice in so many is searched for
N_WORDS = 2
COMMON = (0.002, 0.03)  # share of films that a word of a query is in
HORIZON = 10


class World(NamedTuple):
    """Films with texts and the ratings of them, in order of time."""

    items: list[Item]
    events: list[Event]
    words: dict[str, list[str]]  # item -> words that a query may have


def world() -> World:
    """Films that both sources know, by title and year."""
    films = pl.read_parquet(SHARED / "movietweetings" / "items.parquet")
    pages = pl.read_parquet(SHARED / "wikipedia-movies" / "items.parquet").filter(pl.col("overview").is_not_null())
    name = pl.col("title").str.to_lowercase().str.strip_chars().alias("name")
    joined = (
        films.with_columns(name).join(pages.select(name, "year", "overview"), on=["name", "year"], how="inner").unique("item_id", keep="first").sort("item_id")
    )
    items = [
        Item(str(item), title=title, text=text, attributes={"genres": genres})
        for item, title, genres, text in joined.select("item_id", "title", "genres", "overview").rows()
    ]
    ratings = pl.read_parquet(SHARED / "movietweetings" / "events.parquet").filter(pl.col("item_id").is_in(joined["item_id"].implode()))
    rows = ratings.sort("timestamp", maintain_order=True).select("user_id", "item_id", pl.col("timestamp").dt.epoch("us"), "value").rows()
    events = [Event(f"r{k}", "rating", str(user), str(item), at, float(value)) for k, (user, item, at, value) in enumerate(rows)]
    return World(items, events, askable(items))


def askable(items: Sequence[Item]) -> dict[str, list[str]]:
    """Words of each film that many others have too."""
    analyser = Analyser("english", {})
    of = {item.item: worded(analyser, f"{item.title}\n{item.text}") for item in items}
    df = Counter(stem for words in of.values() for stem in set(words))
    low, high = (share * len(items) for share in COMMON)
    return {item: sorted({surface for stem, surface in words.items() if low <= df[stem] <= high}) for item, words in of.items()}


def worded(analyser: Analyser, text: str) -> dict[str, str]:
    """Stem -> the word as written, for words that are all letters and no stop words."""
    made = {}
    for surface in set(analyser.surfaces(text)):
        stems = analyser.stems(surface)
        if surface.isalpha() and len(stems) == 1:
            made[stems[0]] = surface
    return made


class Shop:
    """The film site as its server has it, moment by moment."""

    def __init__(self, folder: Path, begin: int) -> None:
        self.clock = ManualClock(begin)
        self.workspace = Workspace(folder, parse(TREE), self.clock)
        self.folding: Folding | None = None
        self.live: LiveItems | None = None

    def append(self, kind: Kind, records: Sequence[Any]) -> None:
        for first in range(0, len(records), 5_000):
            part = records[first : first + 5_000]
            floor = self.clock.at
            self.clock.at = max(floor, part[-1].time)
            self.workspace.log.append(kind, part, [max(floor, record.time) for record in part] if kind is Kind.EVENTS else None)

    def folded(self) -> None:
        """Everything derived follows the log."""
        if self.folding is None:
            self.folding = Folding(self.workspace)
        self.folding.catch_up()
        self.live = self.live or LiveItems.attach(self.workspace.live_dir)

    def recommender(self) -> Recommender:
        release = self.workspace.releases.open(self.workspace.releases.champion() or "")
        lexical = Lexical(self.workspace.texts_dir, self.workspace.settings)
        lexical.refresh()
        plan = self.workspace.plan
        return Recommender(Parts.of(release, plan), plan, self.workspace.settings, finder_of(release, lexical, self.workspace.encoder))

    def answer(self, recommender: Recommender, request: Request, now: int, seed: int) -> Ranked:
        assert self.folding is not None
        record, offset = self.folding.state.get_with_offset(user_key(request.user)) if request.user else (None, self.folding.state.offset())
        user = user_state(self.workspace.plan, record, hop(now), offset)
        return recommender.recommend(request, user, self.live, now, seed)


def query(words: Sequence[str], draw: np.random.Generator) -> str:
    return " ".join(draw.permutation(list(words))[:N_WORDS])


def chosen(ranked: Ranked, item: str, draw: np.random.Generator) -> bool:
    """Whether the searcher comes to the film."""
    looked = draw.random(len(ranked.ids)) < 1 / np.log2(2.0 + np.arange(len(ranked.ids)))
    return item in ranked.ids and bool(looked[ranked.ids.index(item)])


def learned(shop: Shop, made: World, first: int, n: int, draw: np.random.Generator) -> tuple[int, int]:
    """The learning period; returns (the first event after it, choices)."""
    recommender, waiting, taken, asked, at = shop.recommender(), list[Event](), 0, 0, first
    for at in range(first, len(made.events)):
        event = made.events[at]
        words = made.words[event.item]
        if draw.integers(EVERY) or len(words) < N_WORDS:
            waiting.append(event)
            continue
        moment = event.time - 5_000_000
        shop.append(Kind.EVENTS, waiting)
        waiting = []
        shop.clock.at = max(shop.clock.now(), moment)
        shop.folded()
        request, rec_id = Request(user=event.user, q=query(words, draw), scenario="search"), f"s{asked}"
        ranked = shop.answer(recommender, request, shop.clock.now(), seed_of(rec_id))
        shop.append(Kind.SLATES, [slate_record(ranked, request, rec_id, shop.clock.now(), 0)])
        if chosen(ranked, event.item, draw):
            waiting.append(event)
            taken += 1
        asked += 1
        if asked == n:
            break
    shop.append(Kind.EVENTS, waiting)
    return at + 1, taken


class Tested(NamedTuple):
    """nDCG@10 of each search of the test, by way of asking."""

    user: list[int]
    known: list[int]  # ratings of theirs so far
    with_user: list[float]
    nobody: list[float]
    relevance: list[float]


def tested(shop: Shop, made: World, first: int, n: int, draw: np.random.Generator) -> Tested:
    """The test period."""
    recommender, waiting, out = shop.recommender(), list[Event](), Tested([], [], [], [], [])
    plain = parse(TREE | {"scenarios": {}})
    exact = Recommender(recommender.parts, recommender.plan, plain, recommender.finder)
    codes: dict[str, int] = {}
    ratings = Counter(event.user for event in made.events[:first])
    for event in made.events[first:]:
        words = made.words[event.item]
        if not draw.integers(EVERY) and len(words) >= N_WORDS:
            shop.append(Kind.EVENTS, waiting)
            waiting = []
            shop.clock.at = max(shop.clock.now(), event.time - 5_000_000)
            shop.folded()
            now, q = shop.clock.now(), query(words, draw)
            mine = shop.answer(exact, Request(user=event.user, q=q, n=HORIZON), now, 0)
            nobody = shop.answer(exact, Request(q=q, n=HORIZON), now, 0)
            wide = shop.answer(exact, Request(q=q, n=300), now, 0)
            relevant = [wide.ids[place] for place in np.lexsort((wide.numbers, -wide.match[:, 2]))[:HORIZON]]
            out.user.append(codes.setdefault(event.user, len(codes)))
            out.known.append(ratings[event.user])
            for column, ids in ((out.with_user, mine.ids), (out.nobody, nobody.ids), (out.relevance, relevant)):
                column.append(1 / np.log2(2.0 + ids.index(event.item)) if event.item in ids else 0.0)
            if len(out.user) == n:
                break
        waiting.append(event)
        ratings[event.user] += 1
    return out


def whole(seed: int, n_learned: int, n_tested: int) -> dict[str, Any]:
    """One whole life, in a process of its own."""
    made, draw = world(), np.random.default_rng(seed)
    first = int(BEFORE * len(made.events))
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder), made.events[0].time)
        shop.append(Kind.ITEMS, made.items)
        shop.append(Kind.EVENTS, made.events[:first])
        train(shop.workspace)
        shop.folded()
        after, taken = learned(shop, made, first, n_learned, draw)
        train(shop.workspace)
        blend = shop.recommender().parts.blend
        out = tested(shop, made, after, n_tested, draw)
        if shop.folding:
            shop.folding.close()
        shop.workspace.close()
    return {
        "films": len(made.items),
        "ratings": len(made.events),
        "chosen": taken,
        "weights": [blend.relevance, blend.taste, blend.slates],
    } | out._asdict()


def run(n_learned: int = LEARNED, n_tested: int = TESTED, seeds: Sequence[int] = (0, 1, 2)) -> None:
    lives = [contestant(whole, seed, n_learned, n_tested).value for seed in seeds]
    user = np.concatenate([np.array(life["user"]) + 1_000_000 * k for k, life in enumerate(lives)]).astype(np.int32)
    mine, nobody, relevance, known = (np.concatenate([life[name] for life in lives]) for name in ("with_user", "nobody", "relevance", "known"))
    gain, over_nobody, new = paired_ratio(mine, relevance, user), paired_ratio(mine, nobody, user), known == 0
    loss = paired_difference(mine[new], relevance[new], user[new])
    report(
        NAME,
        bar=BAR,
        measured={
            "with the user over the same hybrid without": gain.value - 1,
            "interval": [gain.low - 1, gain.high - 1],
            "with the user over nobody, popularity and all": [over_nobody.value - 1, over_nobody.low - 1, over_nobody.high - 1],
            "of users with no history, minus the hybrid": [loss.value, loss.low, loss.high],
            "nDCG@10, with the user": mine.mean(),
            "nDCG@10, nobody": nobody.mean(),
            "nDCG@10, relevance alone": relevance.mean(),
            "searches": len(mine),
            "of users with no history": int(new.sum()),
            "by seed": [np.mean(life["with_user"]) / np.mean(life["relevance"]) - 1 for life in lives],
        },
        unit="",
        holds=gain.value >= 1.1 and gain.low > 1 and over_nobody.low > 1 and loss.high >= 0,
        baselines={"learned weights (relevance, taste, searches)": [life["weights"] for life in lives]},
        seeds=list(seeds),
        notes=f"{lives[0]['films']:,} films with texts, {lives[0]['ratings']:,} ratings; {n_learned:,} searches learned from ({lives[0]['chosen']:,} with a "
        f"choice), {n_tested:,} tested, per seed; queries of {N_WORDS} words that {COMMON[0]:.1%} to {COMMON[1]:.0%} of the films have. Relevance alone is the "
        "order of the fused lexical and semantic score.",
    )


if __name__ == "__main__":
    if not (found("movietweetings") and found("wikipedia-movies")):
        sys.exit(f"{NAME}: needs ../shared/data")
    run(*((400, 200, (0,)) if "--small" in sys.argv else ()))
