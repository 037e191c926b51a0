"""Text to words."""

import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vernal.config import Language, Search
from vernal.retrieval.analysis import MOST_WORDS, Analyser

ENGLISH = Analyser.of(Search(synonyms={"tv": ["television"], "new york": ["nyc", "big apple"], "york": ["ebor"], "the": ["x"]}))


def asked(q):
    return [(tuple(word.stem for word in wanted.words), wanted.others) for wanted in ENGLISH.query(q)]


@given(st.text(max_size=200))
def test_a_query_has_the_words_a_text_has(text):
    plain = Analyser("english", {})
    assert [wanted.words[0].stem for wanted in plain.query(text)] == plain.stems(text)[:MOST_WORDS]
    assert [(stem, start, end) for stem, start, end in plain.places(text) if not 0 <= start < end <= len(text)] == []


@given(st.text(max_size=200))
def test_words_in_capitals_are_the_same_words(text):
    ascii_only = text.encode("ascii", "ignore").decode()
    assert ENGLISH.stems(ascii_only.upper()) == ENGLISH.stems(ascii_only)


@pytest.mark.parametrize("language", typing.get_args(Language))
def test_every_language_of_the_settings_has_an_analyser(language):
    assert Analyser(language, {}).stems("12345") == ["12345"]


def test_without_a_language_words_stay_as_they_are():
    assert Analyser("", {}).stems("The Running Dogs' CAFÉ") == ["the", "running", "dogs", "cafe"]


def test_synonyms_stand_beside_the_longest_run_of_words_they_are_given_for():
    assert asked("TV in New York") == [(("tv",), (("televis",),)), (("new", "york"), (("nyc",), ("big", "appl")))]
    assert asked("York") == [(("york",), (("ebor",),))]
    assert asked("new films") == [(("new",), ()), (("film",), ())]


def test_a_word_is_shown_as_written_without_accents():
    assert [word.surface for wanted in ENGLISH.query("Running CAFÉS") for word in wanted.words] == ["running", "cafes"]


def test_a_query_is_cut_to_some_words():
    assert len(ENGLISH.query("war " * 1_000)) == MOST_WORDS
