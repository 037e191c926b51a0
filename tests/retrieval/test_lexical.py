"""Search by words."""

import string
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.config import Items, Search, Settings
from vernal.errors import StateError
from vernal.retrieval.lexical import Lexical, LexicalWriter, pair
from vernal.retrieval.textfiles import complained_of

PLAIN = Settings(items=Items(attributes=["genre"]))
FILMS = [
    ("The Godfather", "A family of gangsters in New York.", ["crime"]),
    ("Goodfellas", "Gangsters, again, and their wives.", ["crime", "drama"]),
    ("The Good Wife", "A lawyer and her husband.", ["drama"]),
    ("Solaris", "Scientists meet a thinking ocean; a film about memory.", ["science fiction"]),
    ("It", "", []),
    ("", "Nothing but text, and a café.", []),
]
WORDS = ["war", "wars", "space", "ship", "love", "the", "x1", "café"]


def put(writer, number, film):
    title, text, genres = film
    writer.put(number, title, text, [pair("genre", genre) for genre in genres])


def indexed(folder, films=FILMS, settings=PLAIN):
    """(writer, reader) of an index of these films."""
    writer, lexical = LexicalWriter(folder, settings), Lexical(folder, settings)
    for number, film in enumerate(films):
        put(writer, number, film)
    writer.commit(len(films))
    lexical.refresh()
    return writer, lexical


@pytest.fixture(scope="module")
def lexical(tmp_path_factory):
    return indexed(tmp_path_factory.mktemp("films"))[1]


def found(lexical, q, k=10, clauses=()):
    return lexical.search(q, k, clauses).item.tolist()


@pytest.mark.parametrize(
    ("q", "items"),
    [
        ("gangster", [1, 0]),
        ("GANGSTERS' family", [0, 1]),
        ("cafe", [5]),
        ("ocean", [3]),
        ("it", [4]),
        ("the", [0, 2]),
        ("", []),
        ("zzzz", []),
        ("crime", [0, 1]),
    ],
)
def test_a_query_finds_the_items_that_have_its_words(lexical, q, items):
    assert sorted(found(lexical, q)) == sorted(items)


def test_an_item_with_more_of_the_words_comes_first(lexical):
    hits = lexical.search("gangsters family york", 10)
    assert hits.item.tolist() == [0, 1]
    assert hits.score[0] > hits.score[1] > 0


@pytest.mark.parametrize("q", ["good wife", "THE good: wife", "good wfie"])
def test_an_item_whose_title_is_the_query_comes_first(lexical, q):
    assert found(lexical, q)[0] == 2


def test_a_filter_needs_every_clause_and_any_of_its_values(lexical):
    assert found(lexical, "gangsters", clauses=[["genre=drama"]]) == [1]
    assert found(lexical, "gangsters", clauses=[["genre=drama", "genre=crime"]]) == found(lexical, "gangsters")
    assert found(lexical, "gangsters", clauses=[["genre=drama"], ["genre=science fiction"]]) == []
    assert found(lexical, "gangsters", clauses=[[]]) == []
    assert found(lexical, "gangsters", clauses=[["colour=red"]]) == []


@pytest.mark.parametrize("q", ["godfahter", "goodfelas", "scientsts", "gangstres famly"])
def test_a_word_nobody_has_is_taken_for_the_one_it_is_almost(lexical, q):
    right = {"godfahter": 0, "goodfelas": 1, "scientsts": 3, "gangstres famly": 0}
    assert found(lexical, q)[0] == right[q]


@pytest.mark.parametrize("q", ["sol", "ti", "19x4", "1984"])
def test_short_words_and_numbers_are_not_taken_for_others(lexical, q):
    assert found(lexical, q) == []


@pytest.mark.parametrize(
    "q",
    [
        "",
        " ",
        "\x00\x01",
        '"unbalanced',
        "(((",
        "a AND (b OR",
        "title:godfather^99 -family",
        "*",
        "~",
        "\ud800",
        "x" * 10_000,
        "war " * 2_500,
        "שלום עולם",
        "\u202eabc",
        "[1 TO",
    ],
)
def test_any_text_is_a_query(lexical, q):
    assert lexical.search(q, 5).item.dtype == np.int32
    assert lexical.suggest(q, 5).dtype == np.int32
    assert "".join(piece.text for piece in lexical.highlights(q, "The Godfather", "")[0]) == "The Godfather"
    assert set(lexical.facets(q, ["genre"])) == {"genre"}


def test_syntax_of_other_engines_is_words(lexical):
    assert found(lexical, "title:godfather AND NOT family") == found(lexical, "title godfather family")


def test_synonyms_find_what_they_stand_for(tmp_path):
    meanings = Settings(search=Search(synonyms={"mafia": ["gangsters"], "nyc": ["New York"], "big apple": ["New York"], "the": ["solaris"]}))
    _, lexical = indexed(tmp_path, settings=meanings)
    assert sorted(found(lexical, "mafia")) == [0, 1]
    assert found(lexical, "nyc") == found(lexical, "Big Apple") == [0]


@pytest.mark.parametrize(
    ("typed", "items"),
    [
        ("g", [1, 0, 2]),
        ("good", [1, 2]),
        ("the g", [0, 2]),
        ("the good", [2]),
        ("good ", [2]),
        ("It", [4]),
        ("wife the", [2]),
        ("godft", [0]),
        ("q", []),
        ("", []),
    ],
)
def test_suggestions_have_every_word_typed_and_begin_with_what_was_typed_first(lexical, typed, items):
    assert lexical.suggest(typed, 10).tolist() == items


TITLES = [" ".join(np.random.default_rng(seed).choice(["star", "stars", "start", "the", "war", "wa", "w"], 1 + seed % 4)) for seed in range(60)]
LIKED = np.random.default_rng(0).permutation(len(TITLES)).astype(np.float32)


@pytest.fixture(scope="module")
def titles(tmp_path_factory):
    return indexed(tmp_path_factory.mktemp("titles"), [(title, "", []) for title in TITLES])[1]


def place(title, typed):
    """How well a title goes on as it was typed, less is better; none when it does not."""
    words, asked = title.split(), typed.split()
    whole = asked if typed.endswith(" ") else asked[:-1]
    if not set(whole) <= set(words) or not (typed.endswith(" ") or any(word.startswith(asked[-1]) for word in words)):
        return None
    return 0 if words == asked else 2 - (title == typed.strip() or title.startswith(typed))


@given(
    st.lists(st.sampled_from(["star", "stars", "st", "the", "war", "wa", "wx"]), min_size=1, max_size=3).map(" ".join),
    st.sampled_from(["", " "]),
    st.integers(1, 60),
)
def test_suggestions_are_all_titles_that_go_on_as_typed_in_the_order_of_how_well_then_how_popular(titles, typed, end, k):
    ranked = [(fit, -LIKED[number], number) for number, title in enumerate(TITLES) if (fit := place(title, typed + end)) is not None]
    found = titles.suggest(typed + end, k, LIKED).tolist()
    assert found == [number for *_, number in sorted(ranked)[:k]] or not ranked


def test_popular_titles_are_suggested_first(lexical):
    assert lexical.suggest("the g", 1, np.array([1, 0, 2, 0], np.float32)).tolist() == [2]


def test_values_are_counted_among_what_is_found(lexical):
    assert lexical.facets("gangsters", ["genre"]) == {"genre": [("crime", 2), ("drama", 1)]}
    assert lexical.facets("", ["genre"], k=1) == {"genre": [("crime", 2)]}
    assert lexical.facets("gangsters", ["genre"], clauses=[["genre=drama"]]) == {"genre": [("crime", 1), ("drama", 1)]}
    assert lexical.facets("", []) == {}


def test_words_found_are_marked_in_title_and_text(lexical):
    title, text = lexical.highlights("godfathers fammily", FILMS[0][0], FILMS[0][1])
    assert [piece.text for piece in title if piece.found] == ["Godfather"]
    assert [piece.text for piece in text if piece.found] == ["family"]


@given(st.text(string.ascii_letters + " .é\n", max_size=300), st.text(string.ascii_letters + " ", max_size=20), st.integers(1, 80))
def test_marks_change_no_letter_and_keep_to_the_length(lexical, text, q, most):
    _, pieces = lexical.highlights(q, "", text, most)
    passage = "".join(piece.text for piece in pieces)
    assert passage in text
    assert len(passage) <= most


def test_a_word_that_most_items_have_ranks_but_does_not_find_unless_it_is_alone(lexical, monkeypatch):
    before = lexical.search("gangsters family", 10)
    monkeypatch.setattr("vernal.retrieval.lexical.COMMON", 1)  # two items have gangsters
    after = lexical.search("gangsters family", 10)
    assert (after.item.tolist(), after.score.tolist()) == ([0], pytest.approx(before.score[:1].tolist()))
    assert sorted(found(lexical, "gangsters")) == [0, 1]


def test_equal_scores_are_in_the_order_of_numbers_wherever_they_are_cut(tmp_path):
    writer, lexical = LexicalWriter(tmp_path, PLAIN), Lexical(tmp_path, PLAIN)
    for number in np.random.default_rng(0).permutation(60).tolist():
        writer.put(number, "same words", "")
        if number % 9 == 0:
            writer.commit(1)
    writer.commit(1)
    lexical.refresh()
    for k in (1, 7, 59, 100):
        assert found(lexical, "words", k) == list(range(60))[:k]


films = st.tuples(*[st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)] * 2, st.lists(st.sampled_from(["a", "b"]), max_size=2))
steps = st.lists(st.one_of(st.tuples(st.integers(0, 5), st.none() | films), st.just("commit")), max_size=14)


@settings(max_examples=12, deadline=None)
@given(steps)
def test_after_any_changes_the_hits_are_those_of_an_index_built_fresh(done):
    with tempfile.TemporaryDirectory() as folder:
        writer, lexical, kept = LexicalWriter(Path(folder, "a"), PLAIN), Lexical(Path(folder, "a"), PLAIN), {}
        for step in done:
            if step == "commit":
                writer.commit(1)
                continue
            number, film = step
            kept.pop(number, None)
            if film is None:
                writer.delete(number)
            else:
                kept[number] = film
                put(writer, number, film)
        writer.commit(1)
        lexical.refresh()
        again, fresh = LexicalWriter(Path(folder, "b"), PLAIN), Lexical(Path(folder, "b"), PLAIN)
        for number, film in kept.items():
            put(again, number, film)
        again.commit(1)
        fresh.refresh()
        for q in [*WORDS, "space war", "spaec"]:
            for clauses in ((), [["genre=a"]]):
                assert sorted(found(lexical, q, 10, clauses)) == sorted(found(fresh, q, 10, clauses))


def test_nothing_is_found_before_there_is_an_index(tmp_path):
    lexical = Lexical(tmp_path, PLAIN)
    assert not lexical.refresh()
    assert not lexical.ready
    with pytest.raises(StateError, match="no text index"):
        lexical.search("war", 1)


def test_a_reader_sees_only_what_was_committed(tmp_path):
    writer, lexical = indexed(tmp_path)
    writer.put(6, "Unseen", "")
    assert not lexical.refresh()
    assert found(lexical, "unseen") == []
    writer.commit(7)
    assert lexical.refresh()
    assert not lexical.refresh()
    assert found(lexical, "unseen") == [6]


def test_files_that_a_merge_removes_while_they_are_read_are_no_damage(tmp_path, monkeypatch):
    writer, lexical = indexed(tmp_path)
    writer.commit(7)

    def merged_meanwhile(directory, meta, _):
        (directory / "meta.json").write_bytes(meta + b" ")
        raise StateError.damaged(directory, "missing")

    monkeypatch.setattr("vernal.retrieval.lexical.checked", merged_meanwhile)
    assert not lexical.refresh()
    assert lexical.ready
    assert complained_of(tmp_path) == ""


def test_a_new_writer_goes_on_where_the_last_one_committed(tmp_path):
    writer, lexical = indexed(tmp_path)
    writer.put(6, "Unseen", "")
    writer.close()
    writer = LexicalWriter(tmp_path, PLAIN)
    assert writer.offset == len(FILMS)
    writer.put(0, "Solaris", "")
    writer.commit(7)
    lexical.refresh()
    assert (found(lexical, "unseen"), sorted(found(lexical, "solaris")), found(lexical, "godfather")) == ([], [0, 3], [])


@pytest.mark.parametrize("other", [Settings(search=Search(language="german"), items=PLAIN.items), Settings(items=Items(attributes=["genre", "year"]))])
def test_other_settings_make_a_new_index_that_only_their_readers_take(tmp_path, other):
    writer, _ = indexed(tmp_path)
    writer.close()
    writer, reader = LexicalWriter(tmp_path, other), Lexical(tmp_path, other)
    assert writer.offset == 0
    assert not reader.refresh()
    writer.put(0, "Solaris", "")
    writer.commit(1)
    assert reader.refresh()
    assert found(reader, "solaris") == [0]
    assert not Lexical(tmp_path, PLAIN).refresh()


def test_a_new_index_that_was_not_finished_is_gone_on_with(tmp_path):
    writer, lexical = indexed(tmp_path)
    writer.close()
    writer = LexicalWriter(tmp_path, PLAIN, anew=True)
    writer.put(0, "Solaris", "")
    writer.commit(1, complete=False)
    writer.close()
    writer = LexicalWriter(tmp_path, PLAIN)
    assert (writer.offset, writer.is_new, lexical.refresh()) == (1, True, False)
    writer.put(1, "Solaris again", "")
    writer.commit(2)
    assert lexical.refresh()
    assert found(lexical, "solaris") == [0, 1]


def test_an_unfinished_new_index_is_not_read(tmp_path):
    writer, lexical = indexed(tmp_path)
    writer.close()
    writer = LexicalWriter(tmp_path, PLAIN, anew=True)
    writer.put(0, "Solaris", "")
    writer.commit(1, complete=False)
    assert not lexical.refresh()
    assert sorted(found(lexical, "solaris")) == [3]
    writer.commit(2)
    assert lexical.refresh()
    assert sorted(found(lexical, "solaris")) == [0]
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1
