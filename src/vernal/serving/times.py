"""Times at the edge: RFC 3339 from UTC microseconds."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(at: int) -> str:
    """A moment as people and other programs read it; empty for 0.

    >>> rfc3339(1_700_000_000_123_456)
    '2023-11-14T22:13:20.123456Z'
    """
    return (EPOCH + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z") if at else ""
