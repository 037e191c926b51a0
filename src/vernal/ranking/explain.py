"""Why an item is in a slate, as data and as one sentence that claims nothing else.

In: the sources that proposed the item, what put it at its position, and the exact Shapley values of its score. Out: `Why`. The sentence names
every source that proposed the item and no other, and only features that raised the score.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from vernal import terms
from vernal.ranking.slate import FRESH, PINNED, RANKED

# Beyond terms.SOURCES: ways into the candidates that are no retriever. Bit i of an item's sources is ALL_SOURCES[i].
ASKED = ("pinned", "boosted", "catalogue", "static")
ALL_SOURCES = (*terms.SOURCES, *ASKED)
PINNED_BIT, BOOSTED_BIT, CATALOGUE_BIT, STATIC_BIT = (1 << (len(terms.SOURCES) + i) for i in range(len(ASKED)))
TOP_FEATURES = 3
LEAST_SHARE = 0.05  # a feature is named when it makes up at least this share of what raised the score

PLAIN = {
    "trending": "popular now",
    "history": "chosen by you before",
    "fresh": "new here",
    "lexical": "named by your words",
    "semantic": "close in meaning to your words",
    "pinned": "pinned by the request",
    "boosted": "boosted by the request",
    "catalogue": "in the catalogue and allowed by the rules",
    "static": "on the standing list of this release",
}
RELATED = {  # to what the user chose recently, or to the item the request started from
    "covisitation": "often chosen together with",
    "ease": "chosen by the same people as",
    "ials": "close in taste to",
    "content": "described like",
}
SCORES = {  # retrieval scores as what they measure; a score and its share of the best say the same
    "trending": "how popular it is now",
    "history": "how often and how lately you chose it",
    "history_count": "how often you chose it",
    "covisitation": "how often it goes with what you chose",
    "covisitation_last": "how often it goes with your last choice",
    "ease": "how often those who chose the same choose it",
    "ease_last": "how often those who made your last choice choose it",
    "ials": "how close it is to your taste",
    "ials_last": "how close it is to your last choice",
    "content": "how much it resembles what you chose",
    "fresh": "how new it is",
}
SETTING = {"hour": "the hour of the day", "weekday": "the day of the week", "ring": "how much is known of you"}  # of a request
MATCH = {
    "lexical": "how well it is named by your words",
    "semantic": "how close it is in meaning to your words",
    "relevance": "how well it fits your words",
    "clicks": "how often it is chosen for these words",
    "words": "how many words you gave",
}
PHRASES = {"retrieval": SCORES, "context": SETTING, "query": MATCH}
OPENING = {RANKED: "It is", FRESH: "Shown to learn who likes it: it is", PINNED: "Placed first: it is"}
RECENT = "what you chose recently"


class Moved(msgspec.Struct, frozen=True):
    """One feature's part in a score."""

    feature: str
    value: float | None  # none = unknown
    contribution: float  # added to the score, against the average example


class Why(msgspec.Struct, frozen=True):
    """Why one item is in the slate."""

    sources: list[str]
    features: list[Moved]  # those that moved the score most, either way, strongest first
    sentence: str


def sources_of(mask: int) -> list[str]:
    """Names of the sources in a bit mask.

    >>> sources_of(0b101)
    ['trending', 'covisitation']
    """
    return [name for bit, name in enumerate(ALL_SOURCES) if mask >> bit & 1]


def why(mask: int, placed_by: int, names: Sequence[str], values: NDArray[np.float32], contributions: NDArray[np.float64], like: str = "") -> Why:
    """The explanation of one placed item.

    Parameters
    ----------
    mask : sources bits, see ALL_SOURCES
    placed_by : slate.RANKED, FRESH or PINNED
    names, values, contributions : (f,) the features of its score; empty when no ranker scored it
    like : title of the item the request started from; empty = the user's own history
    """
    strongest = [int(i) for i in np.argsort(-np.abs(contributions), kind="stable")[:TOP_FEATURES] if contributions[i] != 0]
    moved = [Moved(names[i], None if np.isnan(values[i]) else float(values[i]), round(float(contributions[i]), 6)) for i in strongest]
    least = LEAST_SHARE * float(np.maximum(contributions, 0).sum())
    raised = [names[i] for i in strongest if contributions[i] >= least > 0]
    return Why(sources_of(mask), moved, sentence(sources_of(mask), placed_by, raised, like))


def sentence(sources: Sequence[str], placed_by: int, raised: Sequence[str], like: str = "") -> str:
    """One sentence from true parts.

    >>> sentence(["trending", "ease", "ials"], 0, ["item_view.count.1d"])
    'It is popular now, and chosen by the same people as and close in taste to what you chose recently; ranked up by item view count (1d).'
    """
    plain = joined([PLAIN[source] for source in sources if source in PLAIN])
    related = joined([RELATED[source] for source in sources if source in RELATED])
    basis = f"{related} “{like}”" if like else f"{related} {RECENT}"
    reasons = ", and ".join(filter(None, [plain, basis if related else ""])) or "the best that the rules left"
    ranked = f"; ranked up by {joined(list(dict.fromkeys(spoken(name) for name in raised)))}" if raised and placed_by == RANKED else ""
    return f"{OPENING[placed_by]} {reasons}{ranked}."


def joined(parts: Sequence[str]) -> str:
    """Parts as people list them.

    >>> joined(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def spoken(feature: str) -> str:
    """A feature's name as words.

    >>> spoken("pair_history.count.window_30d"), spoken("retrieval.ials_last"), spoken("context.ring")
    ('pair history count (last 30d)', 'how close it is to your last choice', 'how much is known of you')
    """
    view, _, rest = feature.partition(".")
    kind, _, reach = rest.partition(".")
    if view in PHRASES:
        return PHRASES[view][kind]
    words = f"{view} {kind}".replace("_", " ").strip()
    return f"{words} ({reach.replace('window_', 'last ')})" if reach else words
