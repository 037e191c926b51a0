"""What a server says about itself."""

import json
import re

from shop import event

from vernal.serving.worker import ROUTES


def test_every_route_is_in_the_openapi_text_with_its_scope(client):
    paths = client.get("/openapi.json").json()["paths"]
    for route in ROUTES:
        assert paths[route.path][route.method.lower()].get("x-scope") == route.scope


def test_every_reference_of_the_openapi_text_leads_somewhere(client):
    text = client.get("/openapi.json").text
    known = set(json.loads(text)["components"]["schemas"])
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', text)) <= known


def test_the_docs_page_lists_every_route_and_loads_nothing(client):
    answer = client.get("/docs")
    assert all(f"<code>{route.path}</code>" in answer.text for route in ROUTES)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text


def test_metrics_count_what_was_asked(client):
    def asked():
        return int(re.search(r'vernal_requests_total\{route="POST /v1/recommend",status="2xx"\} (\d+)', client.get("/metrics").text)[1])

    before = asked()
    client.post("/v1/recommend", json={"user": "u1"})
    assert asked() == before + 1


def test_every_line_of_the_metrics_is_a_comment_or_a_number(client):
    client.post("/v1/events", json=event("metrics", "i1"))
    for line in client.get("/metrics").text.splitlines():
        assert line.startswith("# ") or re.fullmatch(r"[a-z_]+(\{.*\})? [0-9.e+-]+", line), line


def test_health_and_readiness(client):
    assert client.get("/healthz").json()["status"] == "alive"
    assert client.get("/readyz").json() == {"status": "ready", "problems": []}
    assert client.head("/healthz").status_code == 200


def test_releases_are_listed_with_their_figures(client):
    found = client.get("/v1/releases").json()
    assert found["champion"] == found["serving"] == found["releases"][-1]["name"]
    assert found["releases"][-1]["metrics"] == {"ndcg@10": 0.5}


def test_an_answer_says_why_when_asked(client):
    items = client.post("/v1/recommend", json={"user": "u1", "explain": True}).json()["items"]
    assert all(item["why"]["sentence"].endswith(".") and item["why"]["sources"] == item["sources"] for item in items)


def test_the_first_page_is_the_try_it_page(client):
    assert client.get("/").headers["content-type"].startswith("text/html")
