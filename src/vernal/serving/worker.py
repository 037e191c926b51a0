"""A child process of the server: an API worker, or the stream worker. `run_child` is the entry that the supervisor's command calls."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from weakref import WeakKeyDictionary

import uvicorn
import uvloop

from vernal.errors import StateError
from vernal.events.groupcommit import GroupCommit
from vernal.features.live import LiveItems
from vernal.ranking.parts import Parts, finder_of
from vernal.ranking.recommender import Recommender
from vernal.release import Release
from vernal.retrieval.lexical import Lexical
from vernal.serving import catalogue, gorse, ingest, operations, recommending, searching, segment
from vernal.serving.admission import Admission
from vernal.serving.applied import Applied
from vernal.serving.arms import Arms
from vernal.serving.balance import Balance
from vernal.serving.champion import Champion
from vernal.serving.children import Child, this_child
from vernal.serving.folding import Folding
from vernal.serving.following import Following, Meaning
from vernal.serving.guarded import Guarded
from vernal.serving.http import Application
from vernal.serving.keys import Keys
from vernal.serving.meters import Meters
from vernal.serving.metrics import layout
from vernal.serving.ports import Workspace
from vernal.serving.records import Records
from vernal.serving.routes import Route, Table
from vernal.serving.service import Service
from vernal.serving.slates import SlateLog, Tickets
from vernal.serving.supervisor import bound, shared
from vernal.serving.warming import warmed

KEEP_ALIVE_S = 75
DRAIN_S = 10
AFTER_ANSWERS = 5  # priority of the stream worker: a third of what answers get while both want a core, so a batch of slates holds nobody up
IDLE_S = 0.02  # between two looks of a stream worker whom nobody rings, as another process that appends does not
SWITCH_S = 0.0005  # longest that a thread which appends keeps the interpreter from the answers
ROUTES: list[Route] = [*ingest.ROUTES, *recommending.ROUTES, *searching.ROUTES, *catalogue.ROUTES, *operations.ROUTES, *segment.ROUTES, *gorse.ROUTES]


def run_child(workspace: Workspace, pages: Iterable[Route] = ()) -> None:
    """Does the work of the child process this is, until it is told to stop or its supervisor is gone.

    Parameters
    ----------
    pages : more routes, such as the console's
    """
    child = this_child()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=f"%(asctime)s {child.name} %(levelname)s %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    if child.role == "stream":
        fold_until_stopped(workspace, child)
    else:
        signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises the signal again after its drain; what follows must still run
        signal.signal(signal.SIGINT, lambda *_: None)
        uvloop.run(serve_until_stopped(workspace, child, Table([*ROUTES, *pages])))


def fold_until_stopped(workspace: Workspace, child: Child) -> None:
    """The stream worker: folds the log into state as it grows."""
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    signal.signal(signal.SIGINT, lambda *_: None)  # the supervisor stops us last
    with workspace.exclusive("stream"):
        folding = Folding(workspace)
        folding.catch_up()
        gc.collect()
        gc.freeze()
        child.say_ready()
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, 0, AFTER_ANSWERS)
        while not stopping and not child.listened(0 if folding.step() else IDLE_S):
            pass
        folding.catch_up()
        folding.close()


async def serve_until_stopped(workspace: Workspace, child: Child, table: Table) -> None:
    """An API worker: opens everything, warms up, says ready, serves, drains."""
    sys.setswitchinterval(SWITCH_S)
    service = assembled(workspace, child, table)
    keys = Keys(workspace.keys_path, workspace.clock)
    serving = workspace.settings.serving
    admission = Admission(serving.queue, serving.deadline_ms / 1_000)
    balance = Balance(workspace.data / "meters" / "connections", child.index, child.workers)
    application = Application(table, service, keys, service.meters, admission, balance, require_keys=child.require_keys)
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=Guarded,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        backlog=2_048,
    )
    server = uvicorn.Server(config)
    listener = bound(shared(socket.AF_INET6 if ":" in child.host else socket.AF_INET), child.host, child.port)
    slates = asyncio.create_task(service.slates.run())
    watch = service.arms.watch()
    service.following.start()
    asyncio.get_running_loop().add_reader(child.life_fd, lambda: setattr(server, "should_exit", True))
    gc.collect()
    gc.freeze()  # a full collection of this heap would stop answers for 30-60 ms
    listener.listen(2_048)
    child.say_ready()
    try:
        await server.serve(sockets=[listener])
    finally:
        service.draining = True
        service.arms.close()
        service.following.close()
        watch.join()
        await service.slates.close()
        slates.cancel()
        with suppress(asyncio.CancelledError):
            await slates


def assembled(workspace: Workspace, child: Child, table: Table) -> Service:
    """Everything a worker holds, opened and warm."""
    settings, plan, clock = workspace.settings, workspace.plan, workspace.clock
    meters = Meters(workspace.data / "meters", child.name, layout(table))
    state, kept, live = workspace.state(), workspace.records(), LiveItems.attach(workspace.live_dir)
    lexical, meanings = Lexical(workspace.texts_dir, settings), WeakKeyDictionary[Recommender, Meaning]()

    def build(release: Release | None) -> Recommender:
        parts, finder = Parts.of(release, plan) if release else Parts(), finder_of(release, lexical, workspace.encoder)
        engine = Recommender(parts, plan, settings, finder)
        if release and finder.semantic:
            meanings[engine] = Meaning(finder.semantic, workspace.log, live, plan.attributes, release.manifest.lineage.log_to)
        return warmed(engine, state, live, workspace.log, clock.now())

    appends = GroupCommit(workspace.log, settings.serving.commit_ms, child.ring)
    with suppress(StateError):  # said by whoever follows, which comes next
        lexical.refresh()
    champion = Champion(workspace.releases, build, meters)
    return Service(
        settings=settings,
        data=workspace.data,
        clock=clock,
        log=workspace.log,
        appends=appends,
        state=state,
        live=live,
        records=Records(kept),
        plan=plan,
        releases=workspace.releases,
        champion=champion,
        arms=Arms(champion, workspace.data, settings.rollout),
        following=Following(lexical, lambda: [meanings[engine] for engine in list(champion.engines.values()) if engine in meanings]),
        lexical=lexical,
        slates=SlateLog(appends, meters),
        tickets=Tickets(child.index),
        applied=Applied(state.offset),
        recorded=Applied(lambda: min(state.offset(), kept.offset())),
        dead_letters=workspace.dead_letters,
        meters=meters,
        table=table,
    )
