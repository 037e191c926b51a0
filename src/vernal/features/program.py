"""A compiled set of read-outs of one entity: small integer tables that the kernels walk, no branch on a name inside a loop.

`amounts` says what one event adds, by type and measure; a *cell* is one integer aggregate (an operation over a measure seen through a weight);
an *output* is one published value made from one or two cells. Every path fills cells its own way (ring, tiles, batch pass) and all of
them end in the same `finish`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vernal.terms import VALUE_SCALE

# What a cell does with the events of its measure.
ADD, LAST, FIRST, LEAST, MOST, DISTINCT, NEWEST = range(7)
# What an output does with its cells.
SCALED, RATIO, AGO, EXTREME, NUMBER = range(5)
# Columns of the tables.
MEMBER, BASE, BY_VALUE, FLOOR = range(4)  # amounts[type, measure]
OP, MEASURE, WEIGHT, RELATION = range(4)  # cells
NONE_HIGH, NONE_LOW = np.iinfo(np.int64).max, np.iinfo(np.int64).min  # "no event yet" of FIRST/LEAST and of MOST
N_TYPES = 256
NO_FLOOR = NONE_LOW


class Measure(NamedTuple):
    """What an event adds: `base + by_value x value` for the types of the set, if its value reaches the floor of its type."""

    types: tuple[int, ...]
    base: tuple[int, ...]
    by_value: int = 0
    floor: tuple[int, ...] = ()

    @classmethod
    def counting(cls, types: Sequence[int]) -> "Measure":
        return cls(tuple(sorted(types)), (1,) * len(types))

    @classmethod
    def summing(cls, types: Sequence[int]) -> "Measure":
        return cls(tuple(sorted(types)), (0,) * len(types), 1)


class Cell(NamedTuple):
    op: int
    measure: int
    weight: int = 0  # column of the weight table; of NEWEST: which of the newest items (0 = newest)
    relation: int = 0  # of pairs: 0 = the same item, 1 + a = the same value of attribute a


class Output(NamedTuple):
    """`cells[x] / x_scale`, or the ratio of two such with a prior."""

    name: str
    op: int
    x: int
    y: int = 0
    x_scale: float = 1.0
    y_scale: float = 1.0
    prior: float = 0.0
    prior_mean: float = 0.0


@dataclass(frozen=True, eq=False)
class Program:
    """The tables of one entity; every array is read-only.

    amounts (256, n_measures, 4) int64; cells (n_cells, 4) int32; outputs (n_values, 7) float64: op, x, y, x_scale, y_scale, prior, prior_mean.
    """

    names: tuple[str, ...]
    amounts: NDArray[np.int64]
    cells: NDArray[np.int32]
    outputs: NDArray[np.float64]

    @property
    def n_measures(self) -> int:
        return self.amounts.shape[1]

    @property
    def n_cells(self) -> int:
        return len(self.cells)

    @property
    def n_values(self) -> int:
        return len(self.names)

    @property
    def essence(self) -> list[object]:
        """Everything the values depend on, as plain lists."""
        amounts = [[*place, *self.amounts[tuple(place)].tolist()] for place in np.argwhere(self.amounts.any(axis=2)).tolist()]
        return [list(self.names), amounts, self.cells.tolist(), self.outputs.tolist()]


@dataclass
class Builder:
    """Collects measures, cells and outputs, each distinct one once."""

    measures: dict[Measure, int] = field(default_factory=dict)
    cells: dict[Cell, int] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)

    def cell(self, op: int, measure: Measure, weight: int = 0, relation: int = 0) -> int:
        number = self.measures.setdefault(measure, len(self.measures))
        return self.cells.setdefault(Cell(op, number, weight, relation), len(self.cells))

    def program(self) -> Program:
        amounts = np.zeros((N_TYPES, max(1, len(self.measures)), 4), dtype=np.int64)
        for measure, number in self.measures.items():
            for place, code in enumerate(measure.types):
                floor = measure.floor[place] if measure.floor else NO_FLOOR
                amounts[code, number] = (1, measure.base[place], measure.by_value, floor)
        cells = np.array(list(self.cells), dtype=np.int32).reshape(-1, 4)
        outputs = np.array([output[1:] for output in self.outputs], dtype=np.float64).reshape(-1, 7)
        for table in (amounts, cells, outputs):
            table.setflags(write=False)
        return Program(tuple(output.name for output in self.outputs), amounts, cells, outputs)


@njit(cache=True, nogil=True, inline="always")
def amount(amounts, kind, measure, value):  # type: ignore[no-untyped-def]
    """What one event adds to a measure; int64."""
    return (amounts[kind, measure, 1] + amounts[kind, measure, 2] * value) if value >= amounts[kind, measure, 3] else 0


@njit(cache=True, nogil=True)
def clear(program_cells, cells):  # type: ignore[no-untyped-def]
    """Sets every cell to "no event yet"."""
    for cell in range(len(program_cells)):
        op = program_cells[cell, OP]
        cells[cell] = NONE_HIGH if op in (FIRST, LEAST) else NONE_LOW if op == MOST else -1 if op in (LAST, NEWEST) else 0


@njit(cache=True, nogil=True)
def finish(outputs, cells, at, row):  # type: ignore[no-untyped-def]
    """Turns the cells (n_cells,) int64 of one entity into its values (n_values,) float32 at hop `at`: the one place where floats begin."""
    for output in range(len(outputs)):
        op, x = outputs[output, 0], cells[int(outputs[output, 1])]
        if op == SCALED:
            row[output] = x / outputs[output, 3]
        elif op == RATIO:
            prior = outputs[output, 5]
            below = cells[int(outputs[output, 2])] / outputs[output, 4] + prior
            row[output] = (x / outputs[output, 3] + prior * outputs[output, 6]) / below if below > 0.0 else np.nan
        elif op == AGO:
            row[output] = np.nan if x < 0 or x == NONE_HIGH else max(at - x, 0)
        elif op == EXTREME:
            row[output] = np.nan if x in (NONE_HIGH, NONE_LOW) else x / VALUE_SCALE
        else:
            row[output] = np.nan if x < 0 else x
