"""A child process of the server: an API worker, or the stream worker. `run_child` is the entry that the supervisor's command calls."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vernal.events.groupcommit import GroupCommit
from vernal.features.live import LiveItems
from vernal.features.stream import StreamWorker
from vernal.ranking.recommender import Recommender
from vernal.release import Release
from vernal.serving import catalogue, gorse, ingest, operations, recommending, segment
from vernal.serving.admission import Admission
from vernal.serving.applied import Applied
from vernal.serving.champion import Champion
from vernal.serving.children import Child, this_child
from vernal.serving.http import Application
from vernal.serving.keys import Keys
from vernal.serving.meters import Meters
from vernal.serving.ports import Workspace
from vernal.serving.routes import Route, Table
from vernal.serving.service import Service
from vernal.serving.slates import SlateLog, Tickets
from vernal.serving.supervisor import bound, shared
from vernal.serving.warming import warmed

KEEP_ALIVE_S = 75
DRAIN_S = 10
IDLE_S = 0.001
STREAM_LOCK_LOOKS = 100
MAX_HEAD_BYTES = 65_536
ROUTES: list[Route] = [*ingest.ROUTES, *recommending.ROUTES, *catalogue.ROUTES, *operations.ROUTES, *segment.ROUTES, *gorse.ROUTES]


def run_child(workspace: Workspace, pages: Iterable[Route] = ()) -> None:
    """Does the work of the child process this is, until it is told to stop or its supervisor is gone.

    Parameters
    ----------
    pages : more routes, such as the console's
    """
    child = this_child()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=f"%(asctime)s {child.name} %(levelname)s %(message)s")
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
        state = workspace.state(readonly=False)
        worker = StreamWorker(workspace.log, state, workspace.live_dir, workspace.plan, workspace.settings, workspace.clock)
        while worker.step():
            pass
        child.say_ready()
        gc.collect()
        gc.freeze()
        while not stopping and not child.orphaned(0 if worker.step() else IDLE_S):
            pass
        while worker.step():
            pass
        state.close()


async def serve_until_stopped(workspace: Workspace, child: Child, table: Table) -> None:
    """An API worker: opens everything, warms up, says ready, serves, drains."""
    service = assembled(workspace, child, table)
    keys = Keys(workspace.keys_path, workspace.clock)
    serving = workspace.settings.serving
    admission = Admission(serving.queue, serving.deadline_ms / 1_000)
    application = Application(table, service, keys, service.meters, admission, require_keys=child.require_keys)
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
    watch = service.champion.watch()
    asyncio.get_running_loop().add_reader(child.life_fd, lambda: setattr(server, "should_exit", True))
    gc.collect()
    gc.freeze()  # a full collection of this heap would stop answers for 30-60 ms
    listener.listen(2_048)
    child.say_ready()
    try:
        await server.serve(sockets=[listener])
    finally:
        service.draining = True
        service.champion.close()
        watch.join()
        await service.slates.close()
        slates.cancel()
        with suppress(asyncio.CancelledError):
            await slates


def assembled(workspace: Workspace, child: Child, table: Table) -> Service:
    """Everything a worker holds, opened and warm."""
    settings, plan, clock = workspace.settings, workspace.plan, workspace.clock
    meters = Meters(workspace.data / "meters", child.name, operations.layout(table))
    state, live = workspace.state(), LiveItems.attach(workspace.live_dir)

    def build(release: Release | None) -> Recommender:
        return warmed(Recommender(release, plan, settings), state, live, workspace)

    appends = GroupCommit(workspace.log, settings.serving.commit_ms)
    return Service(
        settings=settings,
        clock=clock,
        log=workspace.log,
        appends=appends,
        state=state,
        live=live,
        plan=plan,
        releases=workspace.releases,
        champion=Champion(workspace.releases, build, meters),
        slates=SlateLog(appends, meters),
        tickets=Tickets(child.index),
        applied=Applied(state.offset),
        dead_letters=workspace.dead_letters,
        meters=meters,
        table=table,
    )


class Guarded(HttpToolsProtocol):
    """uvicorn's protocol with a bound on a request's head, in bytes and in time, which it leaves to others."""

    head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def data_received(self, data: bytes) -> None:
        self.head_bytes += len(data)
        super().data_received(data)
        if self.head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_431()

    def on_headers_complete(self) -> None:
        self.head_bytes = -(2**60)  # from here on the body's own limit counts
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.head_bytes = 0
        super().on_message_complete()

    def send_431(self) -> None:
        self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()
