"""The one writer's engine of item state: events and catalogue records in, the live item table out.

Serving's stream worker and the walk over history run this same code. Events fold into tiles and cells that belong to the writer; `publish` shows
readers a finished picture. Advancing to a new hop reads every item out anew; `prepare` does that work ahead in slices, into the idle half of the table, so that
the flip itself is short.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from vernal.events.history import HIDDEN, Catalogue
from vernal.events.schema import Item
from vernal.features.columns import LEAST_ROOM, Described, Recent, Tiles, grown
from vernal.features.definition import Plan
from vernal.features.live import LiveItems
from vernal.features.popularity import newest_of, top_of, update_top
from vernal.features.program import clear
from vernal.features.table import (
    ACTIVE,
    CATALOGUE_VERSION,
    HOP,
    OFFSET,
    SEQUENCE,
    TEXT_BYTES,
    VOCABULARY_BYTES,
    N,
    Shape,
    Table,
    Texts,
    current,
    index_items,
    next_place,
)
from vernal.features.tiles import add_to_items, finish_items, order_by_item, pass_items
from vernal.features.words import Words

MOST_TITLE_BYTES = 65_535
NONE = np.empty(0, np.int64)


class Pass(NamedTuple):
    """A read-out of every item at a coming hop, in progress."""

    hop: int
    n_items: int
    n_recent: int  # events that it merges into tiles; later ones are added at the flip
    order: NDArray[np.int64]
    order_start: NDArray[np.int64]
    tiles: Tiles


class ItemState:
    """Item state of one plan.

    Parameters
    ----------
    plan : the compiled definitions
    directory : where the shared table is made; none = in memory
    capacity : items there is room for at first; it doubles when needed

    Cost: 0.1 us per event and hop pass at 10^6 tiles; see `bench/state_size`.
    """

    def __init__(self, plan: Plan, directory: Path | None = None, capacity: int = LEAST_ROOM) -> None:
        self.plan = plan
        self.place = next_place(directory) if directory else None
        self.shape = Shape(power_of_two(capacity), plan.item.n_values, len(plan.attributes), len(plan.popular) + 1)
        self.table = Table.fresh(self.shape, self.place.file("table") if self.place else None)
        self.texts = Texts(self.place.file("text") if self.place else None)
        self.vocabulary = Texts(self.place.file("vocabulary") if self.place else None)
        self.live = LiveItems(self)
        self.words = Words(plan.attributes, self.vocabulary)
        self.program = (plan.item.amounts, plan.item.cells, plan.item.outputs)
        self.blank = np.empty(plan.item.n_cells, np.int64)
        clear(plan.item.cells, self.blank)
        self.n, self.hop, self.offset = 0, 0, 0
        self.recent, self.added, self.pass_done = Recent(), 0, 0
        self.running: Pass | None = None
        self.tiles = Tiles.room(0, 0, plan.item.n_measures)
        self.flags, self.first_seen = np.zeros(self.shape.capacity, np.uint8), np.zeros(self.shape.capacity, np.uint32)
        self.marks, self.mark = np.zeros(self.shape.capacity, np.int64), 0
        self.cells, self.idle_cells = self.blank_rows(self.shape.capacity), np.empty((0, plan.item.n_cells), np.int64)
        self.top = np.full((self.shape.n_lists, self.table.top.shape[1]), -1, np.int32)
        self.staged: dict[int, tuple[Item, list[list[int]]]] = {}
        self.stale_top = self.stale_newest = False
        self.attached = False
        self.unseen, self.position = NONE, 0
        self.pass_top: list[NDArray[np.int32]] = []

    def refresh(self) -> bool:
        """The writer's own table is always the newest."""
        return False

    def read_out(self, numbers: NDArray[np.int32] | None = None) -> None:
        """Every item is read out at every hop."""

    def blank_rows(self, n: int) -> NDArray[np.int64]:
        return np.tile(self.blank, (n, 1))

    # What comes in.

    def mention(self, ids: Sequence[str], seen_s: int) -> None:
        """Numbers new items `n`, `n + 1`, ... and notes when the log first mentioned them (UTC s; 0 = not yet)."""
        first, self.n = self.n, self.n + len(ids)
        self.reserve(self.n)
        coded = [item.encode() for item in ids]
        sizes = np.fromiter(map(len, coded), np.int64, len(coded))
        at = self.texts.append(b"".join(coded))
        rows = slice(first, self.n)
        self.table.text_at[rows] = at + np.cumsum(sizes) - sizes
        self.table.id_bytes[rows], self.table.title_bytes[rows] = sizes, 0
        self.table.hashes[rows] = np.fromiter(map(crc32, coded), np.uint32, len(coded))
        self.unseen = np.concatenate([self.unseen, np.arange(first, self.n, dtype=np.int64)])
        self.see(np.arange(first, self.n), seen_s)

    def see(self, numbers: NDArray[np.int64], seen_s: int | NDArray[np.int64]) -> None:
        """Notes a first mention (UTC s) of the items that had none; `numbers` are distinct."""
        unknown = self.first_seen[numbers] == 0
        if unknown.any():
            self.first_seen[numbers[unknown]] = seen_s if isinstance(seen_s, int) else seen_s[unknown]
            self.stale_newest = True

    def upsert(self, number: int, record: Item) -> None:
        """Takes a catalogue record of a mentioned item; the next `publish` shows it."""
        self.staged[number] = (record, self.words.encode(record))

    def fold(self, items: NDArray[np.int64], times: NDArray[np.int64], types: NDArray[np.uint8], values: NDArray[np.int32]) -> None:
        """Takes events (times UTC s) of mentioned items, impressions included; the next `publish` shows them."""
        self.recent.append(items, times, types, values)

    # What readers see.

    def publish(self, offset: int) -> None:
        """Shows readers everything taken so far; `offset` is the newest log offset in it."""
        described = self.take_staged()
        touched, rows = self.fresh_rows()
        self.refresh_lists(touched)
        with self.publication() as table:
            table.values[table.header[ACTIVE]][touched] = rows
            self.show(table, described, offset)

    def advance(self, hop: int, offset: int | None = None) -> None:
        """Reads every item out at `hop` (UTC s, multiple of 300) and shows that with everything taken so far, as `publish` does.

        A hop that is not later only publishes. `offset`: the newest log offset in it; default: as before.
        """
        if hop <= self.hop and self.attached:
            self.publish(self.offset if offset is None else offset)
            return
        self.hold_recent()
        if self.running is None or self.running.hop != hop:
            self.begin(hop)
        while self.prepare(hop, self.n):
            pass
        self.flip(self.offset if offset is None else offset)

    def prepare(self, hop: int, n_items: int) -> bool:
        """Does up to `n_items` items' worth of the coming `advance(hop)` ahead of time; false when nothing is left to do."""
        if self.running is None or self.running.hop != hop:
            self.hold_recent()
            self.begin(hop)
        elif self.pass_done < self.running.n_items:
            self.work(self.running, n_items)
        elif len(self.pass_top) < len(self.plan.popular):
            self.pass_top.append(top_of(self.idle_cells, self.plan.popular[len(self.pass_top)], self.flags, self.running.n_items))
        else:
            return False
        return True

    # How.

    def take_staged(self) -> Described:
        """Staged records as columns, their texts already written; what they hide or show is noted for the lists."""
        numbers, records = np.fromiter(self.staged, np.int64, len(self.staged)), self.staged.values()
        described = Described.of(numbers, records, len(self.plan.attributes))
        for place, (number, (record, _)) in enumerate(self.staged.items()):
            title = record.title.encode()[:MOST_TITLE_BYTES].decode(errors="ignore").encode()
            described.text_at[place] = self.texts.append(self.live.id(number).encode() + title)
            described.title_bytes[place] = len(title)
        if ((self.flags[numbers] ^ described.flags) & HIDDEN).any():
            self.stale_top, self.pass_top = True, []
        self.stale_newest |= bool((self.flags[numbers] != described.flags).any())
        self.flags[numbers] = described.flags
        self.staged = {}
        return described

    def hold_recent(self) -> None:
        """Brings the cells up to date without showing it; the items stay due for the next publication."""
        self.unseen = self.add_recent()

    def fresh_rows(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(items readers have not seen as they are now, their values)."""
        touched = self.add_recent()
        rows = np.empty((len(touched), self.shape.n_values), np.float32)
        finish_items(touched, len(touched), self.plan.item.outputs, self.cells, self.hop, rows)
        self.unseen = NONE
        return touched, rows

    def add_recent(self) -> NDArray[np.int64]:
        """Adds new events to the cells; returns every item that readers have not seen as it is now."""
        self.mark += 1
        touched = np.empty(self.recent.n - self.added, np.int64)
        weights = self.plan.weights(self.hop)
        found = add_to_items(self.recent.columns, self.added, self.recent.n, self.program, weights, self.hop, self.cells, self.marks, self.mark, touched)
        self.added = self.recent.n
        return np.union1d(touched[:found], self.unseen) if len(self.unseen) else touched[:found]

    def refresh_lists(self, touched: NDArray[np.int64]) -> None:
        """Brings the popularity lists and the list of the newest up to date."""
        for place, column in enumerate(self.plan.popular):
            if self.stale_top:
                self.top[place] = top_of(self.cells, column, self.flags, self.n)
            else:
                update_top(self.top[place], self.cells, column, self.flags, touched, len(touched))
        if self.stale_newest:
            self.top[-1] = newest_of(self.first_seen, self.flags, self.n)

    def begin(self, hop: int) -> None:
        """Starts a pass at a coming hop."""
        if len(self.idle_cells) != self.shape.capacity:
            self.idle_cells = self.blank_rows(self.shape.capacity)
        order, order_start = order_by_item(self.recent.columns[0], self.recent.n, self.n)
        room = Tiles.room(self.n, len(self.tiles.tile) + self.recent.n, self.plan.item.n_measures)
        self.running, self.pass_done, self.position, self.pass_top = Pass(hop, self.n, self.recent.n, order, order_start, room), 0, 0, []

    def work(self, running: Pass, n_items: int) -> None:
        """Reads the next items of the pass out, into the idle half of the table."""
        last = min(running.n_items, self.pass_done + n_items)
        rows, weights = self.table.values[1 - self.table.header[ACTIVE]], self.plan.weights(running.hop)
        self.position = pass_items(
            self.pass_done, last, self.tiles, self.recent.columns, running.order, running.order_start, self.program, weights, running.hop,
            self.plan.horizon_days, running.tiles, self.position, self.cells, self.idle_cells, rows,
        )  # fmt: skip
        self.pass_done = last

    def flip(self, offset: int) -> None:
        """Makes the finished pass the picture readers see, with everything that came since it began."""
        running = self.running
        if running is None:
            return
        described = self.take_staged()
        self.tiles = Tiles(running.tiles.start, running.tiles.tile[: self.position], running.tiles.amount[: self.position])
        self.idle_cells[running.n_items : self.n] = self.blank
        self.cells, self.idle_cells, self.hop = self.idle_cells, self.cells, running.hop
        self.recent.drop(running.n_recent)
        self.added, self.running, self.unseen = 0, None, np.arange(running.n_items, self.n, dtype=np.int64)
        touched, rows = self.fresh_rows()
        if len(self.pass_top) == len(self.plan.popular):
            self.top[:-1] = np.array(self.pass_top).reshape(-1, self.top.shape[1])
        else:
            self.stale_top = True
        self.refresh_lists(touched)
        with self.publication() as table:
            idle = 1 - table.header[ACTIVE]
            table.values[idle][touched] = rows
            table.header[ACTIVE] = idle
            self.show(table, described, offset)

    def show(self, table: Table, described: Described, offset: int) -> None:
        """Writes everything but the values; inside a publication."""
        before = int(table.header[N])
        index_items(table.index, table.hashes, before, self.n)
        described.write(table)
        if self.stale_newest:
            table.first_seen[: self.n] = self.first_seen[: self.n]
        table.top[:] = self.top
        table.header[CATALOGUE_VERSION] += 1 if len(described.numbers) or self.n > before else 0
        table.header[[N, HOP, OFFSET, TEXT_BYTES, VOCABULARY_BYTES]] = self.n, self.hop, offset, self.texts.end, self.vocabulary.end
        self.offset, self.stale_top, self.stale_newest = offset, False, False

    @contextmanager
    def publication(self) -> Iterator[Table]:
        """The critical section: readers that overlap it read again."""
        header = self.table.header
        header[SEQUENCE] += 1
        try:
            yield self.table
        finally:
            header[SEQUENCE] += 1
        if self.place and not self.attached:
            self.take_over()
        self.attached = True

    def take_over(self) -> None:
        """Shows the first finished picture to everybody, and sends readers of what was there before here. A crash at any point leaves them searching."""
        if self.place:
            before = current(self.place.directory)
            if before and before != self.place:
                before.warn()
            self.place.make_current()
            if before and before != self.place:
                before.remove(self.place)

    def reserve(self, n: int) -> None:
        """Makes room for n items: a larger table in a new file, which readers move to by themselves."""
        if n <= self.shape.capacity:
            return
        self.running = None
        self.shape = Shape(power_of_two(n), self.shape.n_values, self.shape.n_attributes, self.shape.n_lists)
        place = self.place.grown() if self.place else None
        larger = Table.fresh(self.shape, place.file("table") if place else None)
        before, self.table = self.table, larger
        before.copy_into(larger)
        self.copy_names(before, larger)
        self.cells = np.concatenate([self.cells, self.blank_rows(self.shape.capacity - len(self.cells))])
        capacity = self.shape.capacity
        self.flags, self.first_seen, self.marks = grown(self.flags, capacity), grown(self.first_seen, capacity), grown(self.marks, capacity)
        self.place = place
        if self.attached:
            self.take_over()

    def copy_names(self, before: Table, larger: Table) -> None:
        """Names that were mentioned but not shown yet."""
        rows = slice(int(before.header[N]), min(self.n, before.shape.capacity))
        for name in ("text_at", "id_bytes", "title_bytes", "hashes"):
            getattr(larger, name)[rows] = getattr(before, name)[rows]


def load_catalogue(state: ItemState, catalogue: Catalogue) -> None:
    """Gives an empty state a whole catalogue at once: numbers, names, attributes and flags; nothing counts as mentioned before its first event."""
    state.mention(catalogue.ids, seen_s=0)
    table, n = state.table, len(catalogue)
    table.attributes[:n], table.flags[:n], state.flags[:n] = catalogue.attributes, catalogue.flags, catalogue.flags
    for number, title in enumerate(catalogue.titles):
        if title:
            content = title.encode()[:65_535]
            table.text_at[number] = state.texts.append(catalogue.ids[number].encode() + content)
            table.title_bytes[number] = len(content)
    state.words.load(catalogue.vocabularies)


def power_of_two(n: int) -> int:
    return max(LEAST_ROOM, 1 << (n - 1).bit_length())
