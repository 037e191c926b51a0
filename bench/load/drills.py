"""One world watched: a whole healthy life, or a drift and what was said of it."""

from typing import Any

from load.breathing import N_REFERENCE, SCHEMA, Frame, World, past

from vernal.monitoring.reference import Reference, Window
from vernal.monitoring.watch import Watch

HEALTHY = 14  # live windows before a drift begins, and up to 6 more, so that it begins on any weekday
AFTER = 30  # windows of drift


def watched(world: World) -> tuple[Frame, Watch]:
    frame = Frame(world)
    return frame, Watch(Reference.of(SCHEMA, frame.bins, past(world, frame)))


def lifetime(kind: str, seed: int, windows: int) -> dict[str, Any]:
    """A healthy world: the alarms of its whole life, and the most evidence there ever was."""
    world = World(seed, kind, windows=N_REFERENCE + windows)
    frame, watch = watched(world)
    most = max(watch.judge(Window(t, world.summary(t, frame))).evidence.log_total for t in range(N_REFERENCE, N_REFERENCE + windows))
    return {"alarms": [[a.window, str(a.severity), a.sentence()] for a in watch.alarms], "most": most}


def drill(scenario: str, seed: int) -> dict[str, Any]:
    """A drift: windows until the first alarm (None for never), false alarms before it, and what was named when it rang."""
    onset = N_REFERENCE + HEALTHY + seed % 7
    world = World(seed, scenario=scenario, onset=onset, windows=onset + AFTER)
    frame, watch = watched(world)
    for t in range(N_REFERENCE, onset + AFTER):
        verdict = watch.judge(Window(t, world.summary(t, frame)))
        if verdict.alarms:
            first = verdict.alarms[0]
            return {"delay": t - onset, "named": list(verdict.named), "sentence": first.sentence(), "since": first.since.first - onset}
    return {"delay": None, "named": [], "sentence": "", "since": None}
