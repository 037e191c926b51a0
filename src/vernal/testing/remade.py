"""Releases made over: sealed again with other arrays, texts or lineage, every hash right. What a gate is tested with."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vernal.release import Lineage, ReleaseStore


@dataclass
class Content:
    """What a release is made of, to be changed in place."""

    arrays: dict[str, NDArray[Any]]
    texts: dict[str, Any]
    lineage: Lineage


def remade(store: ReleaseStore, name: str, change: Callable[[Content], object]) -> str:
    """The name of a new release: this one's content after `change`, sealed like any other."""
    release, draft = store.open(name), store.draft()
    files = release.manifest.files
    arrays = {file[:-4]: np.array(release.array(file[:-4])) for file in files if file.endswith(".npy")}
    content = Content(arrays, {file[:-5]: release.json(file[:-5]) for file in files if file.endswith(".json")}, release.manifest.lineage)
    change(content)
    for file in files:
        if not file.endswith((".npy", ".json")):
            (draft.path / file).write_bytes((release.path / file).read_bytes())
    for array, values in content.arrays.items():
        draft.put_array(array, values)
    for text, value in content.texts.items():
        (draft.path / f"{text}.json").write_text(json.dumps(value), encoding="utf-8")
    return store.commit(draft, content.lineage, release.manifest.metrics).name


def inverted(content: Content) -> None:
    """The ranker's worst is its best."""
    content.arrays["ranker_leaf"] *= -1


def shuffled(content: Content, seed: int) -> None:
    """The ranker's order has nothing to do with what it learnt."""
    leaf = content.arrays["ranker_leaf"]
    content.arrays["ranker_leaf"] = np.random.default_rng(seed).permuted(leaf.ravel()).reshape(leaf.shape)


def not_a_number(content: Content, seed: int) -> None:
    """One leaf of the ranker is NaN."""
    leaf = content.arrays["ranker_leaf"]
    leaf.ravel()[np.random.default_rng(seed).integers(leaf.size)] = np.nan


def slowed(content: Content, times: int) -> None:
    """The same scores from `times` as many trees."""
    for part in ("ranker_feature", "ranker_border", "ranker_leaf", "ranker_shapley"):
        content.arrays[part] = np.tile(content.arrays[part], (times, *[1] * (content.arrays[part].ndim - 1)))
    content.arrays["ranker_leaf"] /= times
    content.arrays["ranker_shapley"] /= times
