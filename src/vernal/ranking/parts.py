"""What a release brings to a request, and what is missing or damaged in it.

In: an opened release. Out: `Parts`; a part that cannot be used is absent and named in `problems`, which lowers the rung and never the availability.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from vernal.errors import EncoderError, EnvironmentProblem, ReleaseError
from vernal.features.definition import Plan
from vernal.ranking.exploring import Rates
from vernal.ranking.features import feature_names
from vernal.ranking.ranker import Ranker
from vernal.ranking.searching import DEFAULTS, Blend
from vernal.release import Draft, Release
from vernal.retrieval.clicks import QueryClicks
from vernal.retrieval.encoders import Encoder
from vernal.retrieval.lexical import Lexical
from vernal.retrieval.matching import TextFinder
from vernal.retrieval.models import ItemModels
from vernal.retrieval.semantic import Semantic

T = TypeVar("T")

STATIC = "static"  # name of the standing list in a release
BEST_LIST = "best_list"  # name of the text that says which popularity list did best


@dataclass(frozen=True)
class Parts:
    """The usable parts of one release; the default is a server without a release."""

    release: str = ""
    models: ItemModels | None = None
    ranker: Ranker | None = None
    static: tuple[tuple[str, int], ...] = ()  # (item id, number), best first
    blend: Blend = DEFAULTS  # of a search
    rates: Rates | None = None  # from scores to shares of clicks
    problems: tuple[str, ...] = ()
    best_list: str = ""  # half-life of the popularity list that did best on past requests; empty = nobody asked
    listed: bool = False  # that list is all there is: nothing personal

    def impersonal(self) -> "Parts":
        """What the holdout is answered from: the best list, and relevance in a search."""
        return replace(self, models=None, ranker=None, problems=(), listed=True)

    @classmethod
    def of(cls, release: Release, plan: Plan) -> "Parts":
        """The parts of a release that can be used under this plan."""
        problems: list[str] = []
        models = attempt("models", lambda: ItemModels.load(release), problems) if release.has("retrieval.json") else None
        ranker = attempt("ranker", lambda: fitting(Ranker.load(release), plan), problems)
        static = attempt("standing list", lambda: load_static(release), problems) or ()
        blend = attempt("search", lambda: Blend.load(release), problems) or DEFAULTS
        rates = attempt("rates", lambda: Rates.load(release), problems)
        problems += ["models: none in this release"] if not release.has("retrieval.json") else []
        best_list = attempt("best list", lambda: load_best_list(release), problems) or ""
        return cls(release.name, models, ranker, static, blend, rates, tuple(problems), best_list)


def finder_of(release: Release | None, lexical: Lexical, engine: Callable[[str], Encoder]) -> TextFinder:
    """What finds texts with a release: by words in any case, by meaning and by what was chosen where the release knows of them."""
    if release is None:
        return TextFinder(lexical)
    problems: list[str] = []
    semantic = attempt("meaning", lambda: Semantic.load(release, engine), problems)
    clicks = attempt("clicks", lambda: QueryClicks.load(release), problems)
    return TextFinder(lexical, semantic, clicks, tuple(f"q: {problem}" for problem in problems))


def attempt(what: str, load: Callable[[], T], problems: list[str]) -> T | None:
    """What `load` returns; on damage nothing, and the reason in `problems`."""
    try:
        return load()
    except (ReleaseError, EncoderError, EnvironmentProblem, OSError, ValueError, KeyError, TypeError) as error:
        problems.append(f"{what}: {type(error).__name__}: {error}")
        return None


def fitting(ranker: Ranker | None, plan: Plan) -> Ranker | None:
    """The ranker, when its features are those this plan computes."""
    if ranker is not None and ranker.names != feature_names(plan):
        odd = sorted(set(ranker.names) ^ set(feature_names(plan)))[:5]
        raise ReleaseError.unservable("ranker features", odd or "another order", "the features of the current plan")
    return ranker


def save_static(draft: Draft, items: Sequence[tuple[str, int]]) -> None:
    """Writes the standing list (item id, number), best first: what is shown when nothing else works."""
    draft.put_json(STATIC, [[item, int(number)] for item, number in items])


def load_static(release: Release) -> tuple[tuple[str, int], ...]:
    return tuple((str(item), int(number)) for item, number in release.json(STATIC)) if release.has(f"{STATIC}.json") else ()


def load_best_list(release: Release) -> str:
    return str(release.json(BEST_LIST)["half_life"]) if release.has(f"{BEST_LIST}.json") else ""
