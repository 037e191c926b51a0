"""The same recommender as most teams would write it: FastAPI, redis-py, faiss, pandas, lightgbm.

    python bench/peers/natural.py FOLDER PORT REDIS_PORT flat|ivf

It does the work of one Vernal request: user state from a store, a query vector from the recent events, candidates from vectors,
co-visitation, neighbours, content and popularity lists, some 50 features for 300 of them, 300 trees, noise for exploration, the best
ten with titles, an impression line. Threads are as the libraries choose, unless OMP_NUM_THREADS says otherwise. FOLDER holds what
`bench/load/world.py` wrote for it.
"""

import json
import os
import sys
import time
import uuid
from pathlib import Path

import faiss
import lightgbm
import numpy as np
import pandas as pd
import redis
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

RECENT, CANDIDATES, PER_SOURCE, DAY_S = 50, 300, 100, 86_400
HALF_LIVES = {"7d": 7 * DAY_S, "60d": 60 * DAY_S}
folder, port, redis_port, kind = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

app = FastAPI()
store = redis.Redis(port=redis_port)
items = pd.read_parquet(folder / "items.parquet")  # index = item number: 20 features, category, brand, title
vectors = np.load(folder / "vectors.npy")
neighbours = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("covisitation", "ease", "content")}
popular = np.load(folder / "popular.npy")
model = lightgbm.Booster(model_file=str(folder / "model.txt"))
item_columns = [name for name in items.columns if name.startswith("f")]
index = faiss.read_index(str(folder / f"{kind}.index"))
impressions = (folder / f"impressions-{os.getpid()}.jsonl").open("a")
rng = np.random.default_rng()


class Request(BaseModel):
    user: str
    scenario: str = "home"
    n: int = 10


class Item(BaseModel):
    item: str
    score: float
    sources: list[str]
    title: str


class Answer(BaseModel):
    rec_id: str
    items: list[Item]


def history_of(user: str) -> pd.DataFrame:
    return pd.DataFrame(json.loads(store.get(f"user:{user}") or "[]"), columns=["time", "item", "type"])


def candidates_of(recent: pd.DataFrame, now: float) -> pd.DataFrame:
    """Candidates with their scores by source, the best 300."""
    weight = 0.5 ** ((now - recent["time"].to_numpy()) / (30 * DAY_S))
    numbers = recent["item"].to_numpy()
    query = (vectors[numbers] * weight[:, None]).sum(axis=0) / weight.sum()
    score, found = index.search(query[None].astype(np.float32), CANDIDATES)
    frames = [pd.DataFrame({"item": found[0], "score": score[0], "source": "ials"})]
    for name, table in neighbours.items():
        near = table[numbers]
        frame = pd.DataFrame({"item": near.ravel(), "score": np.repeat(weight, near.shape[1])})
        best = frame.groupby("item", sort=False)["score"].sum().nlargest(PER_SOURCE)
        frames.append(pd.DataFrame({"item": best.index, "score": best.to_numpy(), "source": name}))
    for k, row in enumerate(popular):
        frames.append(pd.DataFrame({"item": row[:PER_SOURCE], "score": 1.0 / (10 + np.arange(PER_SOURCE)), "source": f"trending{k}"}))
    table = pd.concat(frames).pivot_table(index="item", columns="source", values="score", fill_value=0.0)
    table = table[~table.index.isin(numbers)]
    return table.assign(total=table.rank().sum(axis=1)).nlargest(CANDIDATES, "total")


def features_of(table: pd.DataFrame, events: pd.DataFrame, now: float) -> pd.DataFrame:
    """About 50 columns: scores, item features, counts of the user, of user x item and of user x category and brand."""
    frame = table.join(items[[*item_columns, "category", "brand"]])
    age = now - events["time"]
    for days in (1, 7, 30):
        frame[f"user_{days}d"] = (age < days * DAY_S).sum()
    frame["user_distinct"], frame["user_recency"] = events["item"].nunique(), age.min()
    for name, half_life in HALF_LIVES.items():
        frame[f"pair_{name}"] = frame.index.map((0.5 ** (age / half_life)).groupby(events["item"]).sum()).fillna(0.0)
    frame["pair_recency"] = frame.index.map(age.groupby(events["item"]).min()).fillna(1e9)
    mine = events.join(items[["category", "brand"]], on="item").assign(weight=0.5 ** (age / (30 * DAY_S)))
    for name in ("category", "brand"):
        frame[f"user_{name}"] = frame[name].map(mine.groupby(name, observed=True)["weight"].sum()).astype(float).fillna(0.0)
    moment = time.gmtime(now)
    frame["hour"], frame["weekday"], frame["ring"] = moment.tm_hour, moment.tm_wday, len(events)
    return frame.drop(columns=["category", "brand"])


@app.post("/recommend", response_model=Answer)
def recommend(request: Request) -> Answer:
    now = time.time()
    events = history_of(request.user)
    table = candidates_of(events.tail(RECENT), now)
    features = features_of(table, events, now)
    score = model.predict(features)
    best = np.argsort(-(score + rng.gumbel(size=len(score)) * 0.05))[: request.n]
    chosen = features.iloc[best]
    answer = Answer(
        rec_id=str(uuid.uuid4()),
        items=[
            Item(item=str(number), score=float(value), sources=[name for name in table.columns[:-1] if table.at[number, name] > 0], title=title)
            for number, value, title in zip(chosen.index, score[best], items.loc[chosen.index, "title"], strict=True)
        ],
    )
    shown = {"items": chosen.index.tolist(), "features": chosen.to_numpy().tolist()}
    impressions.write(json.dumps({"rec_id": answer.rec_id, "user": request.user, **shown}) + "\n")
    return answer


if __name__ == "__main__":
    uvicorn.run(app, port=port, log_level="info", access_log=False)
