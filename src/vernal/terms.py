"""The vocabulary: every column, reserved event type and unit that crosses a room is named here and nowhere else."""

from typing import Final

# Columns of an event, at the edge (JSON, CSV, Parquet) and in the archive.
EVENT_ID: Final = "event_id"
TYPE: Final = "type"
USER: Final = "user"
ANONYMOUS_ID: Final = "anonymous_id"
ITEM: Final = "item"
TIME: Final = "time"
RECEIVED_AT: Final = "received_at"
VALUE: Final = "value"
SESSION: Final = "session"
REC_ID: Final = "rec_id"
POSITION: Final = "position"
PROPERTIES: Final = "properties"
OFFSET: Final = "offset"

# Event types with a meaning of their own, and their codes in state; the types of the config follow from FIRST_TYPE on.
OTHER: Final = "other"  # a type the config does not name: kept in the log, counted by nothing
IMPRESSION: Final = "impression"  # an item shown at a position in a slate; made from the slate log, the denominator of CTR
OTHER_CODE: Final = 0
IMPRESSION_CODE: Final = 1
FIRST_TYPE_CODE: Final = 2

# Units.
US_PER_S: Final = 1_000_000  # times are UTC microseconds (int64) inside; state keeps whole seconds (uint32)
MINUTE_S: Final = 60
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
HOP_S: Final = 300  # the finest tile, and the grid on which read-outs move: 5 minutes
VALUE_SCALE: Final = 1_000  # event values are fixed point inside: 1 unit = 1000 (int32)
VALUE_LIMIT: Final = 2_147_483  # the largest |value| that fits

# Limits at the edge.
MAX_ID_BYTES: Final = 256
MAX_BATCH_EVENTS: Final = 1_000
MAX_BODY_BYTES: Final = 1_048_576
MAX_N: Final = 500  # items in one slate

# Sources a candidate can come from, in the order of the bits in Candidates.sources; those before the last two, which a text asks, have a column of its scores.
SOURCES: Final = ("trending", "history", "covisitation", "ease", "ials", "content", "fresh", "lexical", "semantic")
