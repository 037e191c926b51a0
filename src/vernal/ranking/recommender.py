"""One request to one slate: retrieve, gather features, rank, apply the rules, place, explain.

In: a request, the user's state, the live item table, the time, a seed. Out: `Ranked`, a pure function of those and the release: the same
arguments give the same bytes, and it carries all that the slate log needs to answer again. Serving, training's evaluation and replay call this.

A missing part lowers the rung (see `ladder`), never the availability: with no release and no live table the answer is an empty slate that says so.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from vernal.config import Settings, duration_s
from vernal.errors import StateError
from vernal.events.history import DESCRIBED, SLOTS
from vernal.features.definition import Plan
from vernal.features.ports import Ring, UserState
from vernal.ranking import fallback
from vernal.ranking.explain import ALL_SOURCES, BOOSTED_BIT, CATALOGUE_BIT, PINNED_BIT, STATIC_BIT, Why, why
from vernal.ranking.exploring import UNRANKED, Rates, Showings, evidence
from vernal.ranking.features import QUERY, Moment, assemble, feature_names
from vernal.ranking.filters import Bitmaps
from vernal.ranking.ladder import UNLIMITED, Budget, Rung
from vernal.ranking.parts import Parts
from vernal.ranking.ports import LiveTable
from vernal.ranking.request import NO_ITEMS, Request, Resolved, check_scenarios, resolve
from vernal.ranking.rules import NO_BITMAP, Rules, add_boosts, forbidden_of, permitted
from vernal.ranking.searching import query_columns
from vernal.ranking.slate import Offer, Policy, Slate, chances, compose
from vernal.retrieval.board import Mask
from vernal.retrieval.candidates import Candidates, Query, retrieve, score_names
from vernal.retrieval.matching import Finder, Matches
from vernal.retrieval.positives import type_weights
from vernal.terms import FIRST_TYPE_CODE, MAX_N, US_PER_S

TRENDING_BIT, FRESH_BIT = 1 << ALL_SOURCES.index("trending"), 1 << ALL_SOURCES.index("fresh")
MATCHING = 100  # items of each leg of a search, where no more are asked for
SHOWN_OF_TEXT = 80  # characters of a text that a note repeats
NO_MATCH, NO_TASTE = np.empty((MAX_N, 0), np.float32), np.zeros(MAX_N, np.float32)
NO_EVIDENCE = np.empty((0, 2))
NO_CODES, NO_FLAGS = np.empty((0, 0, SLOTS), np.int32), np.empty(0, np.uint8)
lasting = cache(duration_s)  # a setting is read by every request
NO_RING = Ring(np.empty(0, np.uint32), np.empty(0, np.uint32), np.empty(0, np.uint8), np.empty(0, np.int32))


class Ranked(NamedTuple):
    """An answer, with all that is needed to answer again. k = items placed, at most the n asked for."""

    release: str
    rung: Rung
    numbers: NDArray[np.int32]  # (k,)
    ids: list[str]
    titles: list[str]  # as known at item_offset; "" = the catalogue gave none
    scores: NDArray[np.float32]  # (k,) the ranker's log-odds before boosts; below the ranked rungs -log(1 + place)
    sources: NDArray[np.uint32]  # (k,) bits of explain.ALL_SOURCES
    propensities: NDArray[np.float32]  # (k,) P(this item here | the positions before)
    placed_by: NDArray[np.uint8]  # (k,) slate.RANKED, FRESH or PINNED
    features: NDArray[np.float32]  # (k, f) as the ranker saw them; (k, 0) below the ranked rungs
    match: NDArray[np.float32]  # (k, len(QUERY)) how each matches the text asked for; (k, 0) when none was
    personal: NDArray[np.float32]  # (k,) the part of a search's score that is not relevance; 0 when nothing was searched for
    reasons: list[Why]  # one per item when asked for, else empty
    notes: tuple[str, ...]  # what was ignored or degraded, for the caller to read
    seed: int
    hop: int  # UTC s of the live table's read-outs
    item_offset: int  # newest log offset in the live table
    user_offset: int  # newest log offset in the user's state
    segment: str = ""  # the value of the first attribute that the user chooses most
    teams: bytes = b""  # (k,) uint8, of an interleaved slate: which of two rankings put each item there


class Considered(NamedTuple):
    """What might have been answered: n candidates."""

    item: NDArray[np.int32]  # (n,)
    score: NDArray[np.float32]  # (n,) before boosts
    chance: NDArray[np.float64]  # (k, n) of each at each position, whatever stands before it
    rung: Rung


class Asked(NamedTuple):
    """One request with everything about its moment."""

    request: Request
    resolved: Resolved
    user: UserState  # with the session's items in its ring
    readable: bool  # the user's values are those of this plan
    now_us: int
    seed: int
    budget: Budget

    @property
    def n(self) -> int:
        return self.resolved.n


class Pool(NamedTuple):
    """Scored candidates."""

    candidates: Candidates
    allowed: NDArray[np.uint8]  # (n,) 0 = a rule forbids it
    score: NDArray[np.float32]  # (n,)
    features: NDArray[np.float32]  # (n, f)
    rung: Rung
    match: NDArray[np.float32] | None = None  # (n, len(QUERY)) how each matches the text asked for; none = none was
    notes: tuple[str, ...] = ()  # of what found them
    personal: NDArray[np.float32] = NO_TASTE  # (n,) of a search: the part of the score that is not relevance


class Recommender:
    """Answers requests from one release.

    Parameters
    ----------
    parts : of the release; `Parts()` when there is none yet
    plan, settings : those of this server; a ranker trained under another plan is not used
    finder : what finds a text in the catalogue; without one nothing matches any text
    """

    def __init__(self, parts: Parts, plan: Plan, settings: Settings, finder: Finder | None = None) -> None:
        check_scenarios(settings)
        self.parts, self.plan, self.settings, self.finder = parts, plan, settings, finder
        self.names = feature_names(plan)
        self.bitmaps = Bitmaps()
        self.plain: dict[tuple[str, int | None], Resolved] = {}
        self.taste = type_weights(settings.events)
        self.half_life_s = float(duration_s(settings.retrieval.recent_half_life))
        self.row = plan.trending.index(parts.best_list) if parts.best_list in plan.trending else len(plan.trending) // 2
        self.showings, self.rates = Showings(plan.item_names, settings), parts.rates or Rates.unfitted(settings)
        self.popularity = max((i for i, name in enumerate(plan.item_names) if ".count." in name), default=-1)

    def under(self, settings: Settings) -> "Recommender":
        """One that answers from the same release under other settings."""
        return Recommender(self.parts, self.plan, settings, self.finder)

    def impersonal(self) -> "Recommender":
        """One that answers everybody alike, by the same rules, from the popularity list that did best: what the holdout gets."""
        return Recommender(self.parts.impersonal(), self.plan, unexplored(self.settings), self.finder)

    def recommend(self, request: Request, user: UserState | None, live: LiveTable | None, now_us: int, seed: int, budget: Budget = UNLIMITED) -> Ranked:
        """The slate of a request.

        Parameters
        ----------
        user : state read out at the hop of `now_us`; None = the store could not be read; an unknown user has an empty ring
        live : the item table; None = there is none
        seed : 64 bits; decides everything random

        Raises
        ------
        RequestError
            The request asks for what does not exist (see `request.resolve`); never for a missing part of ours.

        Cost: bench/serve_latency; 0.35-0.45 ms at 1M items, of which retrieval is most.
        """
        table = live if live is not None and live.n and live.attributes.shape[1] == len(self.plan.attributes) else None
        asked = self.asked(request, user, table, now_us, seed, budget)
        budget.laps.lap("resolve")
        try:
            return self.standing(asked) if table is None else table.consistent(lambda: self.placed(asked, table))
        except StateError:
            return self.standing(asked)

    def considered(
        self, request: Request, user: UserState | None, live: LiveTable, now_us: int, seed: int, draws: int, budget: Budget = UNLIMITED
    ) -> Considered:
        """What `recommend` might have answered with other seeds, and how likely. Cost: that of `recommend`, and 10 us for each draw."""
        asked = self.asked(request, user, live, now_us, seed, budget)
        pool = self.pool(asked, self.rules(asked, live), live)
        return Considered(pool.candidates.item, pool.score, chances(self.offer(asked, pool, live), policy(asked), draws), pool.rung)

    def asked(self, request: Request, user: UserState | None, live: LiveTable | None, now_us: int, seed: int, budget: Budget) -> Asked:
        resolved = self.resolved(request, live)
        readable = user is not None and user.values.shape == (len(self.plan.user_names),)
        known = user if user is not None else UserState(NO_RING, np.full(len(self.plan.user_names), np.nan, np.float32), 0)
        ring = self.with_session(known.ring, resolved.session, now_us // US_PER_S)
        return Asked(request, resolved, known._replace(ring=ring), readable, now_us, seed, budget)

    def resolved(self, request: Request, live: LiveTable | None) -> Resolved:
        """The request in numbers; one that names nothing comes to the same every time. What is searched for may have been chosen before."""
        if request.q:
            found = resolve(request, self.settings, live)
            return found if found.scenario.repeats is False else found._replace(repeats=True)
        named = request.filter or request.exclude or request.boost or request.pin or request.item or request.session or request.diversity is not None
        if not named and (known := self.plain.get((request.scenario, request.n))):
            return known
        found = resolve(request, self.settings, live)
        if not named and not found.scenario.filter:
            self.plain[request.scenario, request.n] = found
        return found

    def with_session(self, ring: Ring, items: NDArray[np.int32], now_s: int) -> Ring:
        """The ring with the session's items as the newest events, of the type that says most about taste."""
        if not len(items):
            return ring
        code = int(self.taste.argmax()) or FIRST_TYPE_CODE
        n = len(items)
        return Ring(
            time=np.concatenate([ring.time, np.full(n, now_s, np.uint32)]),
            item=np.concatenate([ring.item, items.astype(np.uint32)]),
            type=np.concatenate([ring.type, np.full(n, code, np.uint8)]),
            value=np.concatenate([ring.value, np.zeros(n, np.int32)]),
        )

    def placed(self, asked: Asked, live: LiveTable) -> Ranked:
        """The answer from one version of the live table."""
        rules = self.rules(asked, live)
        pool = self.pool(asked, rules, live)
        slate = compose(self.offer(asked, pool, live), policy(asked))
        asked.budget.laps.lap("slate")
        return self.answer(asked, pool, slate, live)

    def rules(self, asked: Asked, live: LiveTable) -> Rules:
        resolved, models = asked.resolved, self.parts.models
        catalogue = models.catalogue if models else bool((live.flags[: live.n] & DESCRIBED).any())
        ring, like = asked.user.ring, -1 if resolved.like is None else resolved.like
        forbidden = forbidden_of(resolved.exclude, like, ring.item, ring.type, self.taste, resolved.repeats)
        bitmap = self.bitmaps.of(resolved.wanted, live)
        asked.budget.laps.lap("rules")
        return Rules(live.n, live.flags, DESCRIBED if catalogue else 0, NO_BITMAP if bitmap is None else bitmap, forbidden)

    def seen(self, ring: Ring) -> NDArray[np.int32]:
        """Items of the ring that say something about taste."""
        return ring.item[self.taste[ring.type] > 0].astype(np.int32)

    def pool(self, asked: Asked, rules: Rules, live: LiveTable) -> Pool:
        """Candidates and their scores, by the best rung that has its parts and its time."""
        if asked.request.q:
            return self.matching(asked, rules, live)
        candidates, rung = self.retrieved(asked, rules, live), Rung.RETRIEVAL
        if candidates is None:
            candidates, rung = self.popular(asked, rules, live)
        candidates, allowed = self.completed(candidates, asked, rules, live)
        asked.budget.laps.lap("retrieve")
        ranker = self.parts.ranker if live.values.shape[1] == len(self.plan.item_names) else None
        slow = asked.readable and asked.budget.allows(Rung.FULL)
        if rung is not Rung.RETRIEVAL or ranker is None or not (slow or asked.budget.allows(Rung.FAST)):
            return Pool(candidates, allowed, place_scores(len(candidates.item)), np.empty((len(candidates.item), 0), np.float32), rung)
        features = assemble(self.plan, candidates, asked.user, live, Moment.at(asked.now_us, slow=slow))
        asked.budget.laps.lap("features")
        score = ranker.score(features)
        asked.budget.laps.lap("rank")
        return Pool(candidates, allowed, score, features, Rung.FULL if slow else Rung.FAST)

    def retrieved(self, asked: Asked, rules: Rules, live: LiveTable) -> Candidates | None:
        """What the retrievers propose; none without models, without time, or when they propose nothing."""
        models = self.parts.models
        if models is None or not asked.budget.allows(Rung.RETRIEVAL):
            return None
        found = retrieve(models, asked.user.ring, live, self.query(asked, rules), self.settings)
        return found if len(found.item) else None

    def query(self, asked: Asked, rules: Rules) -> Query:
        """What is asked of retrieval."""
        choice, resolved = self.settings.retrieval, asked.resolved
        return Query(
            now_s=asked.now_us // US_PER_S,
            recent_events=choice.recent_events,
            half_life=self.half_life_s,
            exclude=resolved.exclude,
            allowed=rules.bitmap if len(rules.bitmap) else None,
            repeats=resolved.repeats,
            like=resolved.like,
            k=max(choice.candidates, asked.n),
        )

    def matching(self, asked: Asked, rules: Rules, live: LiveTable) -> Pool:
        """What matches the text of the request, in order of relevance and taste; nothing else fills the slate up."""
        matches = self.matches(asked, rules, live)
        candidates = Candidates(matches.item, matches.sources, np.full((len(matches.item), len(score_names())), math.nan, np.float32))
        models, ranker = self.parts.models, self.parts.ranker if live.values.shape[1] == len(self.plan.item_names) else None
        if models is not None and len(matches.item) and asked.budget.allows(Rung.RETRIEVAL):
            found = retrieve(models, asked.user.ring, live, self.query(asked, rules)._replace(matches=matches.item), self.settings)
            candidates = found._replace(sources=matches.sources[matches.at(found.item)])
        candidates = self.named(candidates, asked)
        allowed, columns = permitted(candidates.item, rules), query_columns(matches, candidates.item)
        relevance = columns[:, QUERY.index("query.relevance")]
        asked.budget.laps.lap("retrieve")
        slow = asked.readable and asked.budget.allows(Rung.FULL)
        if models is None or ranker is None or not (slow or asked.budget.allows(Rung.FAST)):
            score = self.parts.blend.relevant(relevance)
            return Pool(candidates, allowed, score, np.empty((len(score), 0), np.float32), Rung.RETRIEVAL, columns, matches.notes, np.zeros_like(score))
        features = assemble(self.plan, candidates, asked.user, live, Moment.at(asked.now_us, slow=slow), columns)
        asked.budget.laps.lap("features")
        personal = self.parts.blend.personal(ranker.score(features))
        asked.budget.laps.lap("rank")
        score = self.parts.blend.relevant(relevance) + personal
        return Pool(candidates, allowed, score, features, Rung.FULL if slow else Rung.FAST, columns, matches.notes, personal)

    def matches(self, asked: Asked, rules: Rules, live: LiveTable) -> Matches:
        """What the finder finds of the text, within the rules."""
        if self.finder is None:
            return Matches.none("q: this server has no index of texts")
        names = self.plan.attributes
        filters = tuple((names[column], tuple(live.value(column, code) for code in codes)) for column, codes in asked.resolved.wanted)
        mask = Mask(rules.n, rules.flags, rules.need, rules.bitmap)
        found = self.finder.find(asked.request.q, filters, mask, max(min(MATCHING, self.settings.retrieval.candidates), asked.n))
        return found if len(found.item) else found._replace(notes=(*found.notes, f"q: nothing matches {asked.request.q[:SHOWN_OF_TEXT]!r}"))

    def popular(self, asked: Asked, rules: Rules, live: LiveTable) -> tuple[Candidates, Rung]:
        """Popular items, in the user's segment first; else the standing list."""
        budget, limit = asked.budget, max(self.settings.retrieval.candidates, asked.n)
        if self.parts.listed and budget.allows(Rung.TRENDING) and len(items := fallback.listed(live, rules, self.row, limit)):
            return unscored(items, TRENDING_BIT), Rung.TRENDING
        if budget.allows(Rung.TRENDING) and len(items := fallback.trending(live, rules, limit)):
            segment = fallback.segment_of(self.seen(asked.user.ring), live) if budget.allows(Rung.SEGMENT) else 0
            if segment:
                return unscored(fallback.segment_first(items, segment, live), TRENDING_BIT), Rung.SEGMENT
            return unscored(items, TRENDING_BIT), Rung.TRENDING
        return unscored(np.array([number for _, number in self.parts.static], np.int32), STATIC_BIT), Rung.STATIC

    def completed(self, candidates: Candidates, asked: Asked, rules: Rules, live: LiveTable) -> tuple[Candidates, NDArray[np.uint8]]:
        """The candidates, those the request names, and, where the rules leave less than a slate, the rest of the catalogue; and which are permitted."""
        candidates = self.named(candidates, asked)
        allowed = permitted(candidates.item, rules)
        if np.count_nonzero(allowed) >= asked.n:
            return candidates, allowed
        limit = asked.n + len(candidates.item) + len(rules.forbidden)
        rest = fallback.from_catalogue(live, rules, self.popularity, limit)
        candidates = extended(candidates, rest[~np.isin(rest, candidates.item)], CATALOGUE_BIT)
        return candidates, permitted(candidates.item, rules)

    def named(self, candidates: Candidates, asked: Asked) -> Candidates:
        """The candidates and what the request pins or boosts upwards; a search is not widened by boosts."""
        resolved = asked.resolved
        if len(resolved.pin):
            candidates = extended(candidates, resolved.pin, PINNED_BIT)
        if len(resolved.boost_items) and not asked.request.q:
            candidates = extended(candidates, resolved.boost_items[resolved.boost_logs[: len(resolved.boost_items)] > 0], BOOSTED_BIT)
        return candidates

    def offer(self, asked: Asked, pool: Pool, live: LiveTable) -> Offer:
        """The pool as the slate sees it, with boosts added; what neither the scenario nor the request asks for is not looked up."""
        candidates, resolved = pool.candidates, asked.resolved
        codes, caps, fresh, known, pins = NO_CODES, NO_ITEMS, NO_FLAGS, NO_EVIDENCE, NO_ITEMS
        utility = pool.score.astype(np.float64)
        if resolved.diversity > 0 or resolved.scenario.caps or len(resolved.boost_values):
            codes = live.attributes[candidates.item]
            caps = np.array([resolved.scenario.caps.get(name, 0) for name in self.plan.attributes], np.int32)
        if len(resolved.boost_logs):
            add_boosts(candidates.item, codes, resolved.boost_items, resolved.boost_values, resolved.boost_logs, BOOSTED_BIT, utility, candidates.sources)
        if resolved.scenario.explore_share > 0:
            fresh, known = self.explorable(asked, pool, live)
        if len(resolved.pin):
            pins = np.flatnonzero(candidates.sources & PINNED_BIT).astype(np.int32)
            pins = pins[np.argsort([list(resolved.pin).index(candidates.item[p]) for p in pins])]
        return Offer(candidates.item, utility, pool.allowed, fresh, known, codes, caps, pins)

    def explorable(self, asked: Asked, pool: Pool, live: LiveTable) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """(n,) which candidates are new and were not shown enough yet, and (n, 2) what is known of their rates."""
        fresh, known, scenario = np.zeros(len(pool.score), np.uint8), np.ones((len(pool.score), 2)), asked.resolved.scenario
        since = asked.now_us // US_PER_S - lasting(scenario.explore_for)
        new = np.flatnonzero((pool.candidates.sources & FRESH_BIT != 0) & (live.first_seen[pool.candidates.item] > since))
        live.read_out(pool.candidates.item[new])
        shown, clicks = self.showings.of(live.values[pool.candidates.item[new]])
        ranked = pool.features.shape[1] > 0
        fresh[new] = shown < scenario.explore_until
        known[new] = evidence(self.rates.of(pool.score[new]) if ranked else np.full(len(new), UNRANKED), shown, clicks)
        return fresh, known

    def answer(self, asked: Asked, pool: Pool, slate: Slate, live: LiveTable) -> Ranked:
        """What was placed, with its record and its reasons."""
        numbers = pool.candidates.item[slate.chosen]
        sources, features, names = pool.candidates.sources[slate.chosen], pool.features[slate.chosen], live.names(numbers)
        reasons = self.reasons(asked, sources, slate, features, live) if asked.request.explain else []
        answered = Ranked(
            release=self.parts.release,
            rung=pool.rung,
            numbers=numbers,
            ids=[name for name, _ in names],
            titles=[title for _, title in names],
            scores=pool.score[slate.chosen],
            sources=sources,
            propensities=slate.propensity,
            placed_by=slate.why,
            features=features,
            match=NO_MATCH[: len(numbers)] if pool.match is None else pool.match[slate.chosen],
            personal=NO_TASTE[: len(numbers)] if pool.match is None else pool.personal[slate.chosen],
            reasons=reasons,
            notes=(*self.notes(asked, pool.rung, len(numbers)), *pool.notes),
            seed=asked.seed,
            hop=live.hop,
            item_offset=live.offset,
            user_offset=asked.user.offset,
            segment=self.segment(asked.user.ring, live),
        )
        asked.budget.laps.lap("answer")
        return answered

    def segment(self, ring: Ring, live: LiveTable) -> str:
        """The value of the first attribute that a user chooses most; empty where nothing is known. Cost: 3 us."""
        if not len(ring.item) or not self.plan.attributes:
            return ""
        return live.value(0, fallback.main_code(live.attributes, ring.item, ring.type, self.taste))

    def reasons(self, asked: Asked, sources: NDArray[np.uint32], slate: Slate, features: NDArray[np.float32], live: LiveTable) -> list[Why]:
        ranked = features.shape[1] > 0 and self.parts.ranker is not None
        parts = self.parts.ranker.contributions(features) if ranked and self.parts.ranker else np.zeros(features.shape)
        like = live.titles(asked.resolved.like) or asked.request.item if asked.resolved.like is not None else ""
        names = self.names if ranked else ()
        return [why(int(mask), int(by), names, row, part, like) for mask, by, row, part in zip(sources, slate.why, features, parts, strict=True)]

    def notes(self, asked: Asked, rung: Rung, placed: int) -> tuple[str, ...]:
        """What the caller should know: what was ignored, why the rung is not the best, why the slate is short."""
        notes = [*asked.resolved.notes]
        if asked.request.user and not len(asked.user.ring.time):
            notes.append(f"user: no history of {asked.request.user!r}; the answer is that for a new user")
        if not asked.readable:
            notes.append("user: the state of this user could not be read")
        if rung is not Rung.FULL:
            notes += [f"release: {problem}" for problem in self.parts.problems]
        if placed < asked.n and not asked.request.q:
            notes.append(f"n: {placed} of {asked.n} items; the rules allow no more")
        return tuple(notes)

    def standing(self, asked: Asked) -> Ranked:
        """The standing list, when there is no live table: only what needs no knowledge of the items can be obeyed."""
        resolved = asked.resolved
        checkable = not (resolved.wanted or resolved.scenario.caps)
        seen = set() if resolved.repeats else set(self.seen(asked.user.ring).tolist())
        excluded = set(asked.request.exclude)
        shown = checkable and not asked.request.q
        items = [(item, number) for item, number in self.parts.static if item not in excluded and number not in seen][: asked.n] if shown else []
        k = len(items)
        sources, notes = np.full(k, STATIC_BIT, np.uint32), self.notes(asked, Rung.STATIC, k)
        reasons = [why(STATIC_BIT, 0, (), np.empty(0, np.float32), np.empty(0)) for _ in items] if asked.request.explain else []
        return Ranked(
            release=self.parts.release,
            rung=Rung.STATIC,
            numbers=np.array([number for _, number in items], np.int32),
            ids=[item for item, _ in items],
            titles=[""] * k,
            scores=place_scores(k),
            sources=sources,
            propensities=np.ones(k, np.float32),
            placed_by=np.zeros(k, np.uint8),
            features=np.empty((k, 0), np.float32),
            match=NO_MATCH[:k],
            personal=NO_TASTE[:k],
            reasons=reasons,
            notes=(*notes, "items: the live table is empty" + ("" if checkable else ", so filters and caps cannot be obeyed and nothing is shown")),
            seed=asked.seed,
            hop=0,
            item_offset=0,
            user_offset=asked.user.offset,
        )


def policy(asked: Asked) -> Policy:
    scenario = asked.resolved.scenario
    return Policy(asked.n, scenario.temperature, scenario.explore_head, scenario.explore_share, asked.resolved.diversity, asked.seed)


def unexplored(settings: Settings) -> Settings:
    """The settings with nothing left to chance."""
    scenarios = {name: replace(scenario, temperature=0.0, explore_share=0.0) for name, scenario in settings.scenarios.items()}
    return replace(settings, scenarios=scenarios)


def place_scores(n: int) -> NDArray[np.float32]:
    """-log(1 + place): on this scale a boost of 2 halves a place, as it doubles the odds on the ranker's."""
    return -np.log1p(np.arange(n)).astype(np.float32)


def unscored(items: NDArray[np.int32], bit: int) -> Candidates:
    """Candidates no retriever scored."""
    return Candidates(items, np.full(len(items), bit, np.uint32), np.full((len(items), len(score_names())), math.nan, np.float32))


def extended(candidates: Candidates, items: NDArray[np.int32], bit: int) -> Candidates:
    """The candidates with `items` marked by `bit`, appended where they are new."""
    marked = candidates.sources | np.where(np.isin(candidates.item, items), np.uint32(bit), np.uint32(0))
    added = unscored(items[~np.isin(items, candidates.item)], bit)
    joined = [np.concatenate(pair) for pair in zip(candidates._replace(sources=marked), added, strict=True)]
    return Candidates(*joined)
