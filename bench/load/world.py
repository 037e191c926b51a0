"""A synthetic shop of any size, made through the real log, fold, models' arrays and ranker.

Items lie in clusters of 200; every user likes three clusters. The log and the state are what ingest and the stream worker make of it; the
item models are arrays of full size with random neighbours inside the cluster, because fitting them is not what serving is about.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vernal.app import Workspace
from vernal.events.schema import Event, Item, Kind
from vernal.ranking.features import feature_names
from vernal.ranking.parts import save_static
from vernal.ranking.ranker import fit_ranker
from vernal.release import Lineage
from vernal.retrieval import ann
from vernal.retrieval.content import describe, fit_map
from vernal.retrieval.ials import Hyper
from vernal.retrieval.models import INDEX_PARTS, ROW_CAP, WORD_ARRAYS, ItemModels
from vernal.retrieval.positives import Matrix
from vernal.retrieval.relations import Relations
from vernal.serving.folding import Folding
from vernal.terms import DAY_S, US_PER_S

CLUSTER, DIM, CHUNK, DAYS = 200, 64, 10_000, 60
TEXTS_S = 600.0  # within which a text index of any size is made
NEIGHBOURS = {"covisitation": 50, "ease": 100, "content": 30}
TOML = """
[events.types.view]
weight = 1.0
[events.types.purchase]
weight = 5.0
[items]
attributes = ["category", "brand"]
[scenarios.home]
temperature = 0.2
[serving]
workers = 2
"""


def build(folder: Path, n_items: int, n_users: int, n_events: int, seed: int = 0) -> Workspace:
    """A folded workspace with two equal releases, the first in charge."""
    folder.mkdir(parents=True)
    (folder / "vernal.toml").write_text(TOML)
    workspace = Workspace.open(folder / "vernal.toml")
    now = workspace.clock.now()
    for chunk in items(n_items, now):
        workspace.log.append(Kind.ITEMS, chunk)
    for chunk, times in events(n_items, n_users, n_events, now, seed):
        workspace.log.append(Kind.EVENTS, chunk, times)
    folding = Folding(workspace)
    folding.catch_up()
    folding.texts.finish(workspace.log.end(), TEXTS_S)
    folding.close()
    release(workspace, n_items, seed)
    return workspace


def items(n_items: int, now: int) -> Iterator[list[Item]]:
    """Descriptions of all items, in chunks; item numbers follow their names."""
    for first in range(0, n_items, CHUNK):
        yield [
            Item(
                f"i{number}",
                title=f"Thing {number % 997} of kind {number % 4_999}",
                attributes={"category": [f"c{number % 50}"], "brand": [f"b{number % 1_000}"]},
                time=now,
            )
            for number in range(first, min(first + CHUNK, n_items))
        ]


def events(n_items: int, n_users: int, n_events: int, now: int, seed: int) -> Iterator[tuple[list[Event], list[int]]]:
    """(events, arrival times) in chunks, oldest first."""
    random = np.random.default_rng(seed)
    clusters = max(1, n_items // CLUSTER)
    times = np.sort(now - random.integers(600 * US_PER_S, DAYS * DAY_S * US_PER_S, n_events))
    for first in range(0, n_events, CHUNK):
        n = min(CHUNK, n_events - first)
        users = random.integers(0, n_users, n)
        likes = (users * 7_919 + random.integers(0, 3, n) * 104_729) % clusters
        places = np.minimum(random.zipf(1.3, n) - 1, CLUSTER - 1)
        numbers, buys = (likes + clusters * places) % n_items, random.random(n) < 0.15
        arrivals = times[first : first + n].tolist()
        rows = zip(users.tolist(), numbers.tolist(), buys.tolist(), arrivals, strict=True)
        yield [Event(f"{first + k}", "purchase" if buy else "view", f"u{user}", f"i{number}", at) for k, (user, number, buy, at) in enumerate(rows)], arrivals


def neighbours(n_items: int, k: int, seed: int) -> NDArray[np.int32]:
    """(n_items, k) distinct items of each item's cluster, ascending."""
    random, clusters = np.random.default_rng(seed), max(1, n_items // CLUSTER)
    size = n_items // clusters
    starts, strides = random.integers(0, size, n_items), random.choice([1, 3, 7, 9, 11, 13, 17, 19], n_items)
    places = (starts[:, None] + strides[:, None] * np.arange(k)) % size
    return np.sort((np.arange(n_items)[:, None] % clusters + clusters * places).astype(np.int32), axis=1)


def vectors(n_items: int, seed: int) -> NDArray[np.float32]:
    """(n_items, DIM) float32 of unit norm, clustered like the items."""
    random, clusters = np.random.default_rng(seed), max(1, n_items // CLUSTER)
    made = random.standard_normal((clusters, DIM), np.float32)[np.arange(n_items) % clusters]
    made += 0.7 * random.standard_normal((n_items, DIM), np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def matrix(n_items: int, k: int, seed: int) -> Matrix:
    """k neighbours of every item with random weights."""
    values = np.random.default_rng(seed).random(k * n_items, np.float32)
    return Matrix(np.arange(0, k * n_items + 1, k, dtype=np.int64), neighbours(n_items, k, seed).ravel(), values, n_items)


def tastes(found: NDArray[np.float32], seed: int, n: int = 64) -> NDArray[np.float32]:
    """(n, DIM) queries as users with three interests make them: means of three items of each of three clusters."""
    random, clusters = np.random.default_rng(seed), max(1, len(found) // CLUSTER)
    numbers = random.integers(0, clusters, (n, 3, 1)) + clusters * random.integers(0, CLUSTER, (n, 3, 3))
    return found[numbers % len(found)].reshape(n, 9, DIM).mean(axis=1)


def release(workspace: Workspace, n_items: int, seed: int) -> None:
    """Two releases with the same arrays, so that swapping between them changes nothing but the files."""
    draft = workspace.releases.draft()
    models(workspace, n_items, seed).save(draft)
    names, random = feature_names(workspace.plan), np.random.default_rng(seed)
    examples = random.standard_normal((20_000, len(names)), np.float32)
    labels = (examples @ random.standard_normal(len(names)) + random.standard_normal(20_000) * 4 > 6).astype(np.float32)
    fit_ranker(examples, labels, np.repeat(np.arange(200), 100), workspace.settings.training, names).save(draft)
    save_static(draft, [(f"i{number}", number) for number in range(100)])
    second = workspace.releases.draft()
    for file in draft.path.iterdir():
        os.link(file, second.path / file.name)
    end, as_of = workspace.log.end(), workspace.clock.now()
    lineage = Lineage(log_from=1, log_to=end, as_of=as_of, config=workspace.settings.fingerprint(), plan=workspace.plan.fingerprint, code="bench", seed=seed)
    first_name = workspace.releases.commit(draft, lineage, {}).name
    workspace.releases.commit(second, lineage, {})
    workspace.releases.promote(first_name, "bench")


def models(workspace: Workspace, n_items: int, seed: int) -> ItemModels:
    """Item models of full size."""
    catalogue = workspace.catalogue()
    found = vectors(n_items, seed)
    vocabulary, described = describe(catalogue, n_items)
    mapping = fit_map(described, found, np.ones(n_items, np.int64))
    arrays = {"vectors": found, "gram": (found.T @ found).astype(np.float32), "coefficients": mapping.coefficients, "intercept": mapping.intercept}
    arrays |= {name: getattr(vocabulary, name) for name in WORD_ARRAYS}
    matrices = tuple(matrix(n_items, k, seed + k) for k in NEIGHBOURS.values())
    relations = Relations.of(matrices, ROW_CAP * workspace.settings.retrieval.ease_neighbours)
    arrays |= {"relations.start": relations.start, "relations.entries": relations.entries}
    words = sorted(vocabulary.words, key=vocabulary.words.__getitem__)
    hyper = {name: getattr(Hyper(), name) for name in Hyper.__dataclass_fields__}
    about = {"n": n_items, "as_of": workspace.clock.now(), "catalogue": True, "hyper": hyper, "words": words}
    about |= {"factors": {"reg": 0.01, "nu": 1.0, "unobserved": 0.1}}
    if n_items > workspace.settings.retrieval.exact_below:
        index = ann.build(found, tastes(found, seed), seed)
        arrays |= {f"index.{part}": getattr(index, part) for part in INDEX_PARTS}
        about["n_probe"] = index.n_probe
    return ItemModels.built(about, arrays)
