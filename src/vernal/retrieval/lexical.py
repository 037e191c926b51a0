"""Search by words: a text index that one process writes while any number read, and the hits, suggestions, counts and marks that come of it.

An item is one flat text: title, text and the values it can be filtered by. It is found by BM25 over stems; a word that no item has is taken for the words
written almost like it. Items are the log's item numbers throughout.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice, product
from pathlib import Path
from time import monotonic
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
from tantivy import Document, Index, Occur, Query, Schema, SchemaBuilder, Searcher

from vernal.config import Settings
from vernal.errors import StateError
from vernal.retrieval.analysis import Analyser, Phrase, Word, encodable
from vernal.retrieval.hits import Hits
from vernal.retrieval.linear import F32, I32
from vernal.retrieval.spelling import ONE_FROM, Vocabulary
from vernal.retrieval.textfiles import (
    META,
    SEAL,
    Seal,
    Stamp,
    checked,
    complain,
    complained_of,
    current,
    digest,
    items_of,
    make_current,
    newest,
    next_index,
    stamps,
)

T = TypeVar("T")
FORMAT = 1
NUMBER, TEXT, SURFACE, TITLE, FIRST, WHOLE, NAME, PAIR = "number", "text", "surface", "title", "first", "whole", "name", "pair"
STEMS, PLAIN = "stems", "plain"  # names of the analysers
HEAP_BYTES = 50_000_000
MOST_WORDS_KNOWN = 50_000  # most frequent words of a first letter that misspelt ones are compared with
SPELLING_S = 600.0  # words that came in meanwhile are not yet compared with
MOST_CORRECTIONS = 8
MOST_NAMES = 64  # titles that a query with mistakes may be
NAMED = 10.0  # what an item scores more when the query is its title
MISTAKE = 0.7  # what a hit by a corrected word counts, per mistake
MOST_TIES = 2_048  # hits of equal score that are put in the order of their numbers
MOST_TYPED, MOST_TYPED_WORDS = 200, 12  # characters and words of a beginning that are looked at
SUGGESTED_S = 60.0  # suggestions are kept so long
MOST_KEPT = 10_000  # of them
MOST_SUGGESTED = 1_024  # titles that are put in order; where there are more, those of the most popular items are among them
MOST_POPULAR = 128
COMMON, COMMON_SHARE = 10_000, 0.1  # items, and share of all, that have a word by which alone none is found when there are others
SPARE = 32  # hits beyond those wanted that are looked at for equal scores
FEW = 16  # pairs of a clause that are looked up one by one
MOST_MARKED = 4_000  # characters of a text in which the best passage is looked for

Clauses = Sequence[Sequence[str]]  # all must hold; one holds for items with any of its pairs


class Piece(NamedTuple):
    """A part of a text, which the query found or not."""

    text: str
    found: bool


def pair(attribute: str, value: str) -> str:
    """An attribute's value as the index knows it."""
    return f"{attribute}={value}"


def shape() -> Schema:
    """Fields of the index; nothing is stored."""
    return (
        SchemaBuilder()
        .add_integer_field(NUMBER, indexed=True, fast=True)
        .add_text_field(TEXT, tokenizer_name=STEMS, index_option="freq")
        .add_text_field(SURFACE, tokenizer_name=PLAIN, index_option="basic")
        .add_text_field(TITLE, tokenizer_name=PLAIN, index_option="freq")
        .add_text_field(FIRST, tokenizer_name="raw", index_option="basic")
        .add_text_field(WHOLE, tokenizer_name="raw", index_option="basic")
        .add_text_field(NAME, tokenizer_name="raw", index_option="basic")
        .add_text_field(PAIR, tokenizer_name="raw", index_option="basic", fast=True)
        .build()
    )


SHAPE = shape()


def fingerprint(settings: Settings) -> str:
    """What decides the content of an index, beside the catalogue."""
    return digest(msgspec.json.encode([FORMAT, settings.search.language, settings.items.attributes]))


def opened(directory: Path, analyser: Analyser) -> Index:
    """The index in a directory; an empty one is made where there is none.

    Raises
    ------
    StateError
        Its files are no index of ours.
    """
    try:
        index = Index(SHAPE, path=str(directory))
    except (ValueError, OSError) as error:
        raise StateError.damaged(directory, str(error)) from None
    index.register_tokenizer(STEMS, analyser.full)
    index.register_tokenizer(PLAIN, analyser.plain)
    index.config_reader("manual", 1)
    return index


class LexicalWriter:
    """Writes the text index of a folder. One process at a time.

    Goes on with the newest index, if it is whole and was made with these settings; else it makes a new one, which readers see from its first complete
    commit on. `offset` says what the index reflects: records after it are to be put (again).

    Parameters
    ----------
    folder : where indexes are kept
    settings : `search.language` and `items.attributes` decide what an index is made of
    anew : make a new one in any case

    Cost: 0.1 ms per put of 200 words, in a thread of its own; 20-100 ms per commit (the disk).
    """

    def __init__(self, folder: Path, settings: Settings, *, anew: bool = False) -> None:
        self.folder, self.settings, self.analyser = folder, fingerprint(settings), Analyser.of(settings.search)
        self.offset, self.files = 0, dict[str, Stamp]()
        found = None if anew else newest(folder)
        if found is None or not self.go_on(found):
            self.begin()

    def go_on(self, directory: Path) -> bool:
        """Opens an index, unless it is damaged or of other settings."""
        try:
            seal, meta = Seal.read(directory), read_meta(directory)
            if seal.settings != self.settings or digest(meta) != seal.meta:
                return False
            self.files = checked(directory, meta, {})
            self.open(directory)
        except StateError:
            return False
        self.offset, self.sealed, self.stamp, self.is_new = seal.offset, seal, Stamp.of(directory / META), directory != current(self.folder)
        return complained_of(self.folder) != directory.name

    def begin(self) -> None:
        """Makes a new, empty index; what others left unfinished is removed."""
        self.open(next_index(self.folder))
        self.offset, self.sealed, self.is_new = 0, None, True
        remove_others(self.folder, {self.directory, current(self.folder)})

    def open(self, directory: Path) -> None:
        self.directory, self.index = directory, opened(directory, self.analyser)
        try:
            self.writer = self.index.writer(HEAP_BYTES, 1)
        except ValueError as error:
            raise StateError.in_use(directory, error) from None

    sealed: Seal | None
    stamp: Stamp | None  # of meta.json

    def put(self, number: int, title: str, text: str, pairs: Iterable[str] = ()) -> None:
        """Adds an item, or replaces it whole.

        Parameters
        ----------
        pairs : "attribute=value", for filters and counts; values are words of the item, too
        """
        self.delete(number)
        document, pairs = Document(), list(pairs)
        flat = "\n".join([title, text, *(one.partition("=")[2] for one in pairs)])
        words = self.analyser.surfaces(title)
        document.add_integer(NUMBER, number)
        whole = {FIRST: words[0] if words else "", WHOLE: " ".join(words), NAME: " ".join(self.analyser.stems(title))}
        for field, content in {TEXT: flat, SURFACE: flat, TITLE: title, **whole}.items():
            document.add_text(field, encodable(content))
        for one in pairs:
            document.add_text(PAIR, encodable(one))
        self.writer.add_document(document)

    def delete(self, number: int) -> None:
        """Removes an item; one that is not there stays away."""
        self.writer.delete_documents_by_term(NUMBER, number)

    def commit(self, offset: int, *, complete: bool = True) -> None:
        """Makes everything put so far durable and visible.

        Parameters
        ----------
        offset : newest log offset that was put
        complete : whether a new index may take the place of the current one

        A crash in between leaves the seal of the commit before: the next writer then makes a new index.
        """
        self.writer.commit()
        self.offset = offset
        self.seal()
        if complete and self.is_new:
            make_current(self.directory)
            self.is_new = False
            remove_others(self.folder, {self.directory})

    def seal(self) -> None:
        """Vouches for the files as they are now."""
        self.stamp, meta = Stamp.of(self.directory / META), read_meta(self.directory)
        self.files = stamps(self.directory, meta, self.files)
        self.sealed = Seal(offset=self.offset, settings=self.settings, meta=digest(meta), items=items_of(meta, self.directory / META))
        self.sealed.write(self.directory)

    @property
    def merged(self) -> bool:
        """Whether segments were merged in the background since the index was sealed. Cost: 5 us."""
        return self.sealed is not None and Stamp.of(self.directory / META) != self.stamp

    def tend(self) -> None:
        """Vouches for segments merged in the background; looks for files that somebody else wrote, or that a reader found damaged.

        Raises
        ------
        StateError
            The index is damaged; a new one must be made.

        Cost: 2 us a file.
        """
        if self.sealed is None:
            return
        if complained_of(self.folder) == self.directory.name:
            raise StateError.damaged(self.directory, "a reader found it so")
        meta = read_meta(self.directory)
        if Seal.read(self.directory) != self.sealed or items_of(meta, self.directory / META) != self.sealed.items:
            raise StateError.damaged(self.directory / META, "written by somebody else")
        try:
            checked(self.directory, meta, stamps(self.directory, meta, self.files))
        except StateError:
            if read_meta(self.directory) == meta:  # else a merge ended meanwhile, and its files are looked at next time
                raise
            return
        if digest(meta) != self.sealed.meta:
            self.seal()

    def close(self) -> None:
        """Gives the index up to the next writer; what was not committed is lost."""
        del self.writer


class View(NamedTuple):
    """The index as of one commit."""

    source: Index
    searcher: Searcher
    spelling: Vocabulary
    spelt: float  # time.monotonic() at which the words were read
    files: dict[str, Stamp]


class Liking:
    """How popular items are.

    Parameters
    ----------
    popularity : (n_items,), perhaps a column of a table; items beyond it count 0
    """

    def __init__(self, popularity: F32) -> None:
        self.popularity = popularity

    def of(self, items: I32) -> F32:
        known = items < len(self.popularity)
        found = np.zeros(len(items), np.float32)
        found[known] = self.popularity[items[known]]
        return found

    @cached_property
    def best(self) -> Query:
        """Whether an item is among the `MOST_POPULAR`; adds nothing to scores. Cost: 3 ms at 100,000 items, once."""
        numbers = np.argpartition(self.popularity, -min(MOST_POPULAR, len(self.popularity)))[-MOST_POPULAR:]
        return Query.const_score_query(any_of([term(NUMBER, number) for number in numbers.tolist()]), 0.0)


class Lexical:
    """Reads the text index of a folder; any number of processes may.

    Everything but `refresh` raises StateError while there is no whole index to read (`ready` says so).

    Parameters
    ----------
    folder, settings : as of the writer

    Example
    -------
    >>> import tempfile
    >>> settings, folder = Settings(), Path(tempfile.mkdtemp())
    >>> writer, lexical = LexicalWriter(folder, settings), Lexical(folder, settings)
    >>> writer.put(7, "The Godfather", "A family of gangsters.", [pair("genre", "crime")])
    >>> writer.put(9, "Goodfellas", "Gangsters again.", [pair("genre", "crime"), pair("genre", "drama")])
    >>> writer.commit(offset=2)
    >>> lexical.refresh(), lexical.refresh()
    (True, False)
    >>> lexical.search("family gangster", 10).item.tolist(), lexical.search("gangster", 10, [["genre=drama"]]).item.tolist()
    ([7, 9], [9])
    >>> lexical.search("godfahter", 10).item.tolist(), lexical.suggest("good", 5).tolist()
    ([7], [9])
    >>> lexical.facets("gangster", ["genre"])
    {'genre': [('crime', 2), ('drama', 1)]}
    >>> writer.close()
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings, self.analyser = folder, fingerprint(settings), Analyser.of(settings.search)
        self.view: View | None = None
        self.suggestions: dict[str, I32] = {}
        self.suggestions_of: View | None = None
        self.suggestions_at = 0.0
        self.liking: Liking | None = None
        self.seen: tuple[Path, Stamp] | None = None
        self.directory: Path | None = None

    @property
    def ready(self) -> bool:
        return self.view is not None

    def refresh(self) -> bool:
        """Takes what was committed last; false when there is nothing newer, or not yet. For a thread of its own: new files are read whole.

        Raises
        ------
        StateError
            The index is damaged. The writer is told, and nothing is found until it has made another.

        Cost: 10 us when nothing is new; else 0.2 ms and as `textfiles.checked`.
        """
        directory = current(self.folder)
        stamp = Stamp.of(directory / SEAL) if directory else None
        if directory is None or stamp is None or (directory, stamp) == self.seen:
            return False
        meta = Stamp.of(directory / META)
        try:
            view = self.taken(directory)
        except StateError:
            if (current(self.folder), Stamp.of(directory / SEAL), Stamp.of(directory / META)) != (directory, stamp, meta):
                return False  # the writer was at it: a commit, or a merge, which removes files
            self.view, self.seen = None, (directory, stamp)
            complain(directory)
            raise
        if view is None:
            return False
        self.view, self.directory, self.seen = view, directory, (directory, stamp)
        return True

    def taken(self, directory: Path) -> View | None:
        """The index in a directory as of its seal; none while it is being written, or when it was made with other settings."""
        seal, meta = Seal.read(directory), read_meta(directory)
        if seal.settings != self.settings:
            self.view = None
            return None
        if digest(meta) != seal.meta:
            if written(directory / META) < written(directory / SEAL):
                raise StateError.damaged(directory / META, "its sha256 differs from the seal")
            return None
        old = self.view if self.directory == directory else None
        files = checked(directory, meta, old.files if old else {})
        index = old.source if old else opened(directory, self.analyser)
        try:
            index.reload()
        except ValueError as error:
            raise StateError.damaged(directory, str(error)) from None
        if read_meta(directory) != meta:
            return None
        searcher = index.searcher()
        if old and monotonic() - old.spelt < SPELLING_S:
            return View(index, searcher, old.spelling, old.spelt, files)
        spelling = Vocabulary(lambda first: searcher.terms_with_prefix(SURFACE, first, limit=MOST_WORDS_KNOWN))
        return View(index, searcher, spelling, monotonic(), files)

    def search(self, q: str, k: int, clauses: Clauses = ()) -> Hits:
        """The k items that a query finds best.

        Parameters
        ----------
        clauses : per clause the pairs ("attribute=value") of which an item must have one

        Cost: 0.1-0.3 ms.
        """
        return self.asked(lambda view: best(view, narrowed(self.meant(q, view), clauses), k))

    def suggest(self, typed: str, k: int, popularity: F32 | None = None, clauses: Clauses = ()) -> I32:
        """Items whose titles have every word typed so far; the last one may go on. Those typed in full come first, then those that begin so.

        Parameters
        ----------
        popularity : (n_items,) by which equals are ordered; a later one counts from the next commit on, or after `SUGGESTED_S`
        clauses : as in `search`

        Cost: 0.1-0.5 ms, and 1-3 ms for letters that a tenth of 100,000 titles begin with; 5 us for what was asked a moment ago: everybody types the same
        beginnings.
        """
        words = self.analyser.surfaces(typed[:MOST_TYPED])[:MOST_TYPED_WORDS]
        if not words:
            return np.empty(0, np.int32)
        goes_on = typed[:MOST_TYPED][-1].isalnum()
        return self.asked(lambda view: self.lately(view, (words, goes_on, k, clauses), popularity))

    def lately(self, view: View, asked: tuple[list[str], bool, int, Clauses], popularity: F32 | None) -> I32:
        """What was suggested a moment ago, from the same commit; made now where nothing was."""
        key, now = repr(asked), monotonic()
        if self.suggestions_of is not view or now - self.suggestions_at > SUGGESTED_S or len(self.suggestions) >= MOST_KEPT:
            self.suggestions, self.suggestions_of, self.suggestions_at, self.liking = {}, view, now, None
        kept = self.suggestions
        if key not in kept:
            if popularity is not None and self.liking is None:
                self.liking = Liking(popularity)
            kept[key] = suggested(view, *asked, self.liking)
        return kept[key]

    def facets(self, q: str, attributes: Sequence[str], k: int = 10, clauses: Clauses = ()) -> dict[str, list[tuple[str, int]]]:
        """The k most frequent values of attributes among the items that a query finds (all, if it is empty), with their counts."""
        counts = {name: {"terms": {"field": PAIR, "size": k, "include": f"{re.escape(name)}=.*"}} for name in attributes}
        found = self.asked(
            lambda view: view.searcher.aggregate(narrowed(self.meant(q, view) if q.strip() else Query.all_query(), clauses), counts) if counts else {}
        )
        return {
            name: sorted(((one["key"].removeprefix(f"{name}="), one["doc_count"]) for one in found[name]["buckets"]), key=lambda one: (-one[1], one[0]))
            for name in attributes
        }

    def highlights(self, q: str, title: str, text: str, most: int = 200) -> tuple[list[Piece], list[Piece]]:
        """The title, and the passage of a text where most words of a query are, in pieces that are words of it or not.

        Parameters
        ----------
        most : characters of the passage

        Cost: 0.5 us a word of the text.
        """
        view = self.view
        words = [word for wanted in self.analyser.query(q) for word in wanted.words]
        others = {stem for wanted in self.analyser.query(q) for other in wanted.others for stem in other}
        asked = {word.stem for word in words} | others | {stem for word in words if view for stem in self.read(word, view)}
        text = text[:MOST_MARKED]
        in_title, in_text = ([place for place in self.analyser.places(whole) if place[0] in asked] for whole in (title, text))
        begin, end = passage(text, in_text, most)
        return pieces(title, in_title, 0, len(title)), pieces(text, in_text, begin, end)

    def meant(self, q: str, view: View) -> Query:
        """What a query asks the index: any of its words, and better all of them as a title; titles only, when they are all stop words."""
        wanted = self.analyser.query(q)
        if not wanted:
            return any_of([term(TITLE, word) for word in self.analyser.surfaces(q[:MOST_TYPED])])
        read = [[self.read(word, view) for word in one.words] for one in wanted]
        names = (" ".join(stems) for stems in islice(product(*(word for words in read for word in words)), MOST_NAMES))
        named = [Query.const_score_query(term(NAME, name), NAMED) for name in names if view.searcher.doc_freq(NAME, name)]
        parts = [meaning(words, one.others) for words, one in zip(read, wanted, strict=True)]
        rare = [part for part, words in zip(parts, read, strict=True) if not self.common(words, view)]
        if not rare or len(rare) == len(parts):
            return any_of([*parts, *named])
        also = [part for part, words in zip(parts, read, strict=True) if self.common(words, view)]
        query = any_of(rare)
        for part in [*also, *named]:  # one by one, since tantivy looks a single word up and goes through several from end to end
            query = Query.boolean_query([(Occur.Must, query), (Occur.Should, part)])
        return query

    def common(self, words: Sequence[dict[str, int]], view: View) -> bool:
        """Whether so many items have the words that to have them alone says nothing."""
        return all(view.searcher.doc_freq(TEXT, stem) > max(COMMON, COMMON_SHARE * view.searcher.num_docs) for read in words for stem in read)

    def read(self, word: Word, view: View) -> dict[str, int]:
        """Stem -> mistakes: the word itself, or if no item has it, those it is perhaps a misspelling of, the likeliest first."""
        if view.searcher.doc_freq(TEXT, word.stem):
            return {word.stem: 0}
        near = view.spelling.near(word.surface)[:MOST_CORRECTIONS]
        return {stem: one.mistakes for one in near for stem in self.analyser.stems(one.word)}

    def asked(self, ask: Callable[[View], T]) -> T:
        """What the index answers.

        Raises
        ------
        StateError
            There is none, or it broke on the question.
        """
        view = self.view
        if view is None:
            raise StateError.damaged(self.folder, "no text index that can be read")
        try:
            return ask(view)
        except ValueError as error:
            raise self.broken(error) from None
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # Rust's, and of no class that can be imported
                raise self.broken(error) from None
            raise

    def broken(self, error: BaseException) -> StateError:
        self.view = None
        if self.directory:
            complain(self.directory)
        return StateError.damaged(self.folder, str(error))


def best(view: View, query: Query, k: int) -> Hits:
    """The k best items of a query; some more are looked at while the last ones are equal."""
    limit = k + SPARE
    found = hits(view, query, limit)
    while len(found.item) == limit <= MOST_TIES and found.score[-1] == found.score[k - 1]:
        limit *= 4
        found = hits(view, query, limit)
    order = np.lexsort((found.item, -found.score))[:k]
    return Hits(found.item[order], found.score[order])


def hits(view: View, query: Query, limit: int) -> Hits:
    """Items of the best hits as the index has them; which of equals are among them is its choice."""
    found = view.searcher.search(query, limit, count=False).hits
    numbers = view.searcher.fast_field_values(NUMBER, [at for _, at in found])
    return Hits(np.array(numbers, np.int32), np.array([score for score, _ in found], np.float32))


def suggested(view: View, words: list[str], goes_on: bool, k: int, clauses: Clauses, liking: Liking | None) -> I32:
    """Items by what was typed, in the order of `beginnings`; equals by popularity, then number."""
    made = np.empty(0, np.int32)
    for query, last_resort in beginnings(words, goes_on):
        if len(made) >= k or (last_resort and len(made)):
            break
        found = liked(view, narrowed(query, clauses), liking)
        made = np.concatenate([made, found[~np.isin(found, made)]])
    return made[:k]


def liked(view: View, query: Query, liking: Liking | None) -> I32:
    """What a query finds, the most popular first."""
    items = np.sort(hits(view, query, MOST_SUGGESTED).item)
    if liking is None:
        return items
    if len(items) == MOST_SUGGESTED:
        items = np.union1d(items, hits(view, all_of([query, liking.best]), MOST_POPULAR).item)
    return items[np.argsort(-liking.of(items), kind="stable")]


def beginnings(words: list[str], goes_on: bool) -> Iterator[tuple[Query, bool]]:
    """What to suggest, best first, and whether it is the last resort: titles of just these words, those that begin so, those that have them all, the last one
    perhaps only begun, and those that have words almost like them."""
    whole, begun = " ".join(words), [False] * (len(words) - 1) + [goes_on]
    every = [typed(TITLE, word, more) for word, more in zip(words, begun, strict=True)]
    yield term(WHOLE, whole), False
    if len(words) == 1:
        yield typed(FIRST, whole, goes_on), False
    else:
        yield typed(WHOLE, whole if goes_on else f"{whole} ", True), False
    yield all_of(every), False
    yield all_of([typed(TITLE, word, more, len(word) >= ONE_FROM) for word, more in zip(words, begun, strict=True)]), True


def typed(field: str, word: str, goes_on: bool, mistakes: int = 0) -> Query:
    """A word, perhaps only begun, perhaps with mistakes."""
    return Query.fuzzy_term_query(SHAPE, field, word, mistakes, True, goes_on) if goes_on or mistakes else term(field, word)


def passage(text: str, places: Sequence[tuple[str, int, int]], most: int) -> tuple[int, int]:
    """The stretch of a text, whole words of at most so many characters, that has the most of the words found in it."""
    if len(text) <= most:
        return 0, len(text)
    begins = [start for _, start, _ in places] or [0]
    begin = max(begins, key=lambda at: (len({stem for stem, start, end in places if at <= start and end <= at + most}), -at))
    begin = max(0, min(begin - most // 8, len(text) - most))
    begin = text.find(" ", begin) + 1 if begin else 0
    end = text.rfind(" ", begin, begin + most + 1) if begin + most < len(text) else len(text)
    return begin, end if end > begin else min(begin + most, len(text))


def pieces(text: str, places: Sequence[tuple[str, int, int]], begin: int, end: int) -> list[Piece]:
    """A stretch of a text, cut where words were found; joined they are the stretch."""
    made, at = [], begin
    for _, start, stop in places:
        if at <= start and stop <= end:
            made += [Piece(text[at:start], False), Piece(text[start:stop], True)]
            at = stop
    return [piece for piece in [*made, Piece(text[at:end], False)] if piece.text]


def meaning(words: Sequence[dict[str, int]], others: Sequence[Phrase]) -> Query:
    """Words as they were read, or what else they may mean together."""
    own = any_of([either([weighed(term(TEXT, stem), MISTAKE**mistakes) for stem, mistakes in read.items()]) for read in words])
    return either([own, *(all_of([term(TEXT, word) for word in other]) for other in others if other)])


def weighed(query: Query, weight: float) -> Query:
    return query if weight == 1 else Query.boost_query(query, weight)


def term(field: str, word: str | int) -> Query:
    return Query.term_query(SHAPE, field, word, "freq")


def any_of(queries: Sequence[Query]) -> Query:
    """What any of the queries finds; scores add up."""
    return queries[0] if len(queries) == 1 else Query.boolean_query([(Occur.Should, query) for query in queries])


def all_of(queries: Sequence[Query]) -> Query:
    return queries[0] if len(queries) == 1 else Query.boolean_query([(Occur.Must, query) for query in queries])


def either(queries: Sequence[Query]) -> Query:
    """What any of the queries finds; the best score counts."""
    return queries[0] if len(queries) == 1 else Query.disjunction_max_query(queries) if queries else Query.empty_query()


def narrowed(query: Query, clauses: Clauses) -> Query:
    """A query among the items that hold every clause; scores stay."""
    needed = [any_of([term(PAIR, one) for one in pairs]) if len(pairs) <= FEW else Query.term_set_query(SHAPE, PAIR, list(pairs)) for pairs in clauses]
    return all_of([query, *(Query.const_score_query(one, 0.0) for one in needed)])


def read_meta(directory: Path) -> bytes:
    try:
        return (directory / META).read_bytes()
    except FileNotFoundError:
        raise StateError.damaged(directory / META, "missing") from None


def written(path: Path) -> int:
    """When a file was last written, ns; 0 = there is none."""
    stamp = Stamp.of(path)
    return stamp.mtime_ns if stamp else 0


def remove_others(folder: Path, kept: set[Path | None]) -> None:
    """Removes all indexes but these; maps that are open stay valid."""
    for path in folder.iterdir():
        if path.name.isdigit() and path not in kept:
            shutil.rmtree(path, ignore_errors=True)
