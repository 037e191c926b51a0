"""The words of a catalogue, and those that are written almost like a given one."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.retrieval.linear import I32

ONE_FROM, TWO_FROM = 4, 8  # letters a word needs for one, for two mistakes
KEPT = 1_000  # answers
LONGEST = 32  # letters of a word that is compared


class Near(NamedTuple):
    """A word of the catalogue that was perhaps meant."""

    word: str
    mistakes: int
    items: int  # that have it


class Spelling:
    """Words by their letters.

    Parameters
    ----------
    words : each with the number of items that have it, most first

    Example
    -------
    >>> spelling = Spelling([("godfather", 9), ("grandfather", 4), ("gladiator", 2)])
    >>> spelling.near("godfahter")
    [Near(word='godfather', mistakes=1, items=9)]

    Cost: 10 ms per 10,000 words to make; 0.1 ms to ask. Source: the restricted edit distance of Boytsov (2011), "Indexing methods for approximate
    dictionary searching", with a filter by which letters occur.
    """

    def __init__(self, words: list[tuple[str, int]]) -> None:
        kept = [(word, items) for word, items in words if ONE_FROM - 1 <= len(word) <= LONGEST]
        self.words = [word for word, _ in kept]
        self.items = np.array([items for _, items in kept], np.int32)
        self.start = np.concatenate([[0], np.cumsum([len(word) for word in self.words])]).astype(np.int64)
        self.letters = letters_of("".join(self.words))
        self.masks = letter_sets(self.letters, self.start)

    def near(self, word: str) -> list[Near]:
        """The words with fewest mistakes between them and this one, the most frequent first; none for a word that is short, or a number."""
        allowed = (len(word) >= ONE_FROM) + (len(word) >= TWO_FROM)
        if not allowed or len(word) > LONGEST or word.isdigit():
            return []
        letters = letters_of(word)
        found, mistakes = alike(self.letters, self.start, self.masks, letters, letter_sets(letters, np.array([0, len(letters)]))[0], allowed)
        best = found[mistakes == mistakes.min()] if len(found) else found
        return [Near(self.words[place], int(mistakes.min()), int(self.items[place])) for place in best]


class Vocabulary:
    """The words of a catalogue by their first letter, which is taken to be right, or to stand second.

    Parameters
    ----------
    listed : all words that begin with a letter, each with the number of items that have it, most first; asked for when the letter is

    Cost: 20 us to ask; for the first time with a letter, 10 ms per 10,000 words that begin with it.
    """

    def __init__(self, listed: Callable[[str], list[tuple[str, int]]]) -> None:
        self.listed, self.letters = listed, dict[str, Spelling]()
        self.near = lru_cache(KEPT)(self.nearest)

    def nearest(self, word: str) -> list[Near]:
        """The words with fewest mistakes between them and this one, the most frequent first."""
        if len(word) < ONE_FROM:
            return []
        near = [one for first in dict.fromkeys(word[:2]) for one in self.beginning(first).near(word)]
        least = min((one.mistakes for one in near), default=0)
        return sorted((one for one in near if one.mistakes == least), key=lambda one: -one.items)

    def beginning(self, first: str) -> Spelling:
        if first not in self.letters:
            self.letters[first] = Spelling(self.listed(first))
        return self.letters[first]


def letters_of(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


@njit(cache=True, nogil=True)
def letter_sets(letters: NDArray[np.uint32], start: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Which letters occur in each word, as bits."""
    made = np.zeros(len(start) - 1, np.uint64)
    for word in range(len(made)):
        for at in range(start[word], start[word + 1]):
            made[word] |= np.uint64(1) << np.uint64(letters[at] & 63)
    return made


@njit(cache=True, nogil=True)
def alike(
    letters: NDArray[np.uint32], start: NDArray[np.int64], masks: NDArray[np.uint64], asked: NDArray[np.uint32], mask: np.uint64, allowed: int
) -> tuple[I32, I32]:
    """(words within so many mistakes, their mistakes), in the order of the words."""
    rows = np.empty((3, len(asked) + 1), np.int32)
    found, mistakes, n = np.empty(len(masks), np.int32), np.empty(len(masks), np.int32), 0
    for word in range(len(masks)):
        length = start[word + 1] - start[word]
        if abs(length - len(asked)) > allowed or bits(masks[word] ^ mask) > 2 * allowed:
            continue
        distance = edits(letters[start[word] : start[word + 1]], asked, allowed, rows)
        if distance <= allowed:
            found[n], mistakes[n] = word, distance
            n += 1
    return found[:n].copy(), mistakes[:n].copy()


@njit(cache=True, nogil=True, inline="always")
def bits(value):  # type: ignore[no-untyped-def]
    """How many bits are set."""
    value -= (value >> np.uint64(1)) & np.uint64(0x5555555555555555)
    value = (value & np.uint64(0x3333333333333333)) + ((value >> np.uint64(2)) & np.uint64(0x3333333333333333))
    value = (value + (value >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((value * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True, nogil=True)
def edits(a, b, allowed, rows):  # type: ignore[no-untyped-def]
    """Letters to insert, drop, replace or swap with the next to get from one word to the other; more than allowed is allowed + 1."""
    before, last, row = rows[0], rows[1], rows[2]
    last[:] = np.arange(len(b) + 1)
    for i in range(len(a)):
        row[0], least = i + 1, i + 1
        for j in range(len(b)):
            cost = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] != b[j]))
            if i and j and a[i] == b[j - 1] and a[i - 1] == b[j]:
                cost = min(cost, before[j - 1] + 1)
            row[j + 1] = cost
            least = min(least, cost)
        if least > allowed:
            return allowed + 1
        before, last, row = last, row, before
    return min(last[len(b)], allowed + 1)
