"""What `bench/peers/natural.py` serves from: the same items, vectors, neighbours and users, in the files such a stack would use."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import world
from running import free_port

N_FEATURES, N_LISTS, PROBES = 20, 4_096, 64


def write(folder: Path, n_items: int, seed: int = 0) -> None:
    """Everything but the users."""
    import faiss
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    random, numbers = np.random.default_rng(seed), np.arange(n_items)
    columns = {f"f{k}": random.random(n_items, np.float32) for k in range(N_FEATURES)}
    names = {
        "category": pd.Categorical(numbers % 50),
        "brand": pd.Categorical(numbers % 1_000),
        "title": [f"Thing {k % 997} of kind {k % 4_999}" for k in numbers],
    }
    pd.DataFrame(columns | names).to_parquet(folder / "items.parquet")
    vectors = world.vectors(n_items, seed)
    np.save(folder / "vectors.npy", vectors)
    for name, k in world.NEIGHBOURS.items():
        np.save(folder / f"{name}.npy", world.neighbours(n_items, k, seed + k))
    np.save(folder / "popular.npy", random.choice(n_items, (5, 500), replace=False))
    flat = faiss.IndexFlatIP(world.DIM)
    flat.add(vectors)
    faiss.write_index(flat, str(folder / "flat.index"))
    ivf = faiss.IndexIVFFlat(faiss.IndexFlatIP(world.DIM), world.DIM, min(N_LISTS, n_items // 50), faiss.METRIC_INNER_PRODUCT)
    ivf.cp.niter = 5
    ivf.train(vectors[random.choice(n_items, min(n_items, 100_000), replace=False)])
    ivf.add(vectors)
    ivf.nprobe = PROBES
    faiss.write_index(ivf, str(folder / "ivf.index"))
    fit_model(folder / "model.txt", seed)


def fit_model(file: Path, seed: int) -> None:
    """300 trees of 63 leaves over as many columns as the peer makes."""
    import lightgbm

    random = np.random.default_rng(seed)
    width = 3 + 1 + 5 + 1 + N_FEATURES + 3 + 2 + 3 + 2 + 3  # neighbours, vectors, popularity, total; items; user; pairs; attributes; moment
    rows = random.standard_normal((20_000, width))
    labels = rows @ random.standard_normal(width) + random.standard_normal(20_000) * 4 > 6
    settings = {"objective": "binary", "num_leaves": 63, "num_threads": 1, "verbose": -1, "seed": seed}
    lightgbm.train(settings, lightgbm.Dataset(rows, labels), num_boost_round=300).save_model(str(file))


@contextmanager
def redis_with(users: dict[str, list[list[int]]]) -> Iterator[tuple[int, int]]:
    """A Redis server of its own that holds the users' events as JSON; (port, process id).

    Raises
    ------
    RuntimeError
        No redis-server on this machine.
    """
    import redis

    binary = shutil.which("redis-server")
    if binary is None:
        raise RuntimeError("the natural peer needs redis-server (Debian: apt-get install redis-server)")
    port = free_port()
    server = subprocess.Popen([binary, "--port", str(port), "--save", "", "--appendonly", "no"], stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        next(line for line in server.stdout if b"Ready to accept" in line)
        client = redis.Redis(port=port)
        for user, rows in users.items():
            client.set(f"user:{user}", json.dumps(rows))
        yield port, server.pid
    finally:
        server.terminate()
        server.wait(30)


def histories(n_items: int, n_users: int, n_events: int, wanted: set[str], now: int, seed: int = 0) -> dict[str, list[list[int]]]:
    """(time, item, type) of the wanted users' events, oldest first, as the world's log has them."""
    found: dict[str, list[list[int]]] = {user: [] for user in wanted}
    for chunk, _ in world.events(n_items, n_users, n_events, now, seed):
        for event in chunk:
            if event.user in wanted:
                found[event.user].append([event.time // world.US_PER_S, int(event.item[1:]), int(event.type == "purchase")])
    return found
