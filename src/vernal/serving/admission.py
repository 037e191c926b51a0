"""Who may wait, and who is turned away before any work is done.

One worker answers one request after another, so what waits is what it has promised. A request is turned away with 429 when the
line is full or when, at the measured pace, its turn would come after its deadline; ingest is turned away at half of that, so
serving goes before ingest.
"""

from typing import Literal

from vernal.errors import Overloaded

Lane = Literal["serve", "ingest", "free"]
SMOOTHING = 0.05
INGEST_SHARE = 0.5


class Admission:
    """The line of one worker.

    Parameters
    ----------
    limit : most requests waiting
    deadline_s : longest wait that is still worth it, seconds

    Example
    -------
    >>> line = Admission(limit=2, deadline_s=0.035)
    >>> line.enter("serve"); line.enter("serve")
    >>> line.enter("serve")
    Traceback (most recent call last):
    ...
    vernal.errors.Overloaded: Overloaded request queue: got 2; expected at most 2 waiting.
    Hint: retry after the time in Retry-After.
    """

    def __init__(self, limit: int, deadline_s: float) -> None:
        self.limit, self.deadline_s = limit, deadline_s
        self.waiting = 0  # serving requests admitted and not yet answered
        self.appending = 0  # ingest requests admitted and not yet durable
        self.pace_s = 0.0005  # smoothed work of one serving request

    def enter(self, lane: Lane) -> None:
        """Takes a place in the line.

        Raises
        ------
        Overloaded
            The line is full, or too slow for one more.
        """
        if lane == "serve":
            allowed = self.places()
            if self.waiting >= allowed:
                raise Overloaded.queue_full(self.waiting, allowed)
            self.waiting += 1
        elif lane == "ingest":
            if self.appending >= self.limit or self.waiting > INGEST_SHARE * self.places():
                raise Overloaded.queue_full(self.waiting + self.appending, self.limit)
            self.appending += 1

    def leave(self, lane: Lane) -> None:
        if lane == "serve":
            self.waiting -= 1
        elif lane == "ingest":
            self.appending -= 1

    def worked(self, seconds: float) -> None:
        """Tells how long one serving request took once it was its turn; one that was held up says little about those to come, and counts as twice the pace."""
        self.pace_s += SMOOTHING * min(seconds - self.pace_s, self.pace_s)

    def places(self) -> int:
        """How long the line may be at the measured pace; at least 1."""
        return max(1, min(self.limit, int(self.deadline_s / self.pace_s)))
