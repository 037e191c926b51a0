"""Words written almost alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vernal.retrieval.spelling import Near, Spelling, Vocabulary, bits

SPELLING = Spelling([("space", 9), ("spice", 7), ("pace", 5), ("gladiator", 4), ("gladiators", 3), ("ab", 2), ("café", 1)])
words = st.text("abc\u0434é\U0001f600", min_size=3, max_size=11)


def distance(a, b):
    """Insertions, deletions, replacements and swaps of neighbours, each letter touched once."""
    table = [[i + j if not i * j else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


@given(st.lists(words, max_size=12, unique=True), words)
def test_the_nearest_words_are_those_of_the_definition(known, asked):
    allowed = (len(asked) >= 4) + (len(asked) >= 8)
    distances = {word: distance(word, asked) for word in known}
    least = min((d for d in distances.values() if d <= allowed), default=-1) if allowed else -1
    assert Spelling([(word, 1) for word in known]).near(asked) == [Near(word, least, 1) for word in known if distances[word] == least]


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("spcae", ["space"]),
        ("spece", ["space", "spice"]),
        ("gladaitorr", ["gladiator", "gladiators"]),
        ("abc", []),
        ("cafe", ["café"]),
        ("2001", []),
        ("", []),
        ("x" * 100, []),
    ],
)
def test_a_word_is_taken_for_the_nearest_the_most_frequent_first(asked, near):
    assert [found.word for found in SPELLING.near(asked)] == near


@given(st.lists(words, max_size=12, unique=True), words)
def test_by_first_letters_the_nearest_are_those_that_begin_with_the_first_or_second(known, asked):
    listed = {first: [(word, 1) for word in known if word[0] == first] for first in set("".join(known) + asked)}
    alike = [(word, 1) for first in dict.fromkeys(asked[:2]) for word, _ in listed[first]]
    assert Vocabulary(listed.__getitem__).near(asked) == (Spelling(alike).near(asked) if len(asked) >= 4 else [])


def test_words_are_listed_once_for_each_letter_that_is_asked_for():
    calls = []
    vocabulary = Vocabulary(lambda first: calls.append(first) or [])
    for word in ("abcd", "bacd", "abce", "ab"):
        vocabulary.near(word)
    assert calls == ["a", "b"]  # each word is looked for under its second letter, too


def test_a_catalogue_without_words_has_none_alike():
    assert Spelling([]).near("space") == []


@given(st.integers(0, 2**64 - 1))
def test_bits_are_counted(value):
    assert bits(np.uint64(value)) == value.bit_count()
