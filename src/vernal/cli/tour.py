"""The demo's tour of a running server: some slates with their reasons, one purchase, and what it changed."""

import http.client
import json
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, Final

from vernal.cli.terminal import table
from vernal.errors import EnvironmentProblem
from vernal.serving.traffic import CHAMPION

Write = Callable[[str], None]
NEWCOMER: Final = "somebody-new"
SHOWN, WIDTH = 5, 110


class Shopper:
    """A caller of the public API over one connection."""

    def __init__(self, host: str, port: int) -> None:
        self.connection = http.client.HTTPConnection(host, port, timeout=30)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON answer.

        Raises
        ------
        EnvironmentProblem
            The server refused; its own words are in the message.
        """
        self.connection.request(method, path, json.dumps(body) if body is not None else None, {"content-type": "application/json"})
        response = self.connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise EnvironmentProblem("Server", where=f"{method} {path}", got=f"{response.status} {text[:300].decode('utf-8', 'replace')}", expected="200")
        return json.loads(text)

    def slate(self, user: str, n: int = 10) -> Any:
        return self.call("POST", "/v1/recommend", {"user": user, "n": n, "explain": True})

    def personal(self, users: Sequence[str]) -> str:
        """The first of the users whom the release in charge answers: a few are in the holdout."""
        return next((user for user in users if self.slate(user, n=1)["arm"] == CHAMPION), users[0])

    def buys(self, user: str, item: str, rec_id: str) -> Any:
        return self.call("POST", "/v1/events", {"type": "purchase", "user": user, "item": item, "rec_id": rec_id})

    def close(self) -> None:
        self.connection.close()


def tour(shopper: Shopper, write: Write) -> dict[str, Any]:
    """Shows the slates of two households and a newcomer, then one purchase and the next slate; returns all of it."""
    households = shopper.call("GET", "/console/about.json")["users"]
    users = [shopper.personal(households), shopper.personal(households[len(households) // 2 :]), NEWCOMER]
    slates = {user: shopper.slate(user) for user in users}
    for user, slate in slates.items():
        write(slate_text(user, slate))
    return {"slates": slates, "change": purchase(shopper, users[0], slates[users[0]], write)}


def slate_text(user: str, slate: Any) -> str:
    """The head of a slate: title, sources, and the reason under each."""
    lines = [f"\nHousehold {user} is shown (release {slate['release']}, rung {slate['rung']}):"]
    for place, item in enumerate(slate["items"][:SHOWN], 1):
        lines.append(f"{place:>3}  {item.get('title') or item['item']}  [{', '.join(item['sources'])}]")
        lines += textwrap.wrap(item["why"]["sentence"], WIDTH, initial_indent="       ", subsequent_indent="       ")
    return "\n".join(lines)


def purchase(shopper: Shopper, user: str, before: Any, write: Write) -> dict[str, Any]:
    """Buys the last item shown, asks again, and shows what moved."""
    bought = before["items"][-1]
    receipt = shopper.buys(user, bought["item"], before["rec_id"])
    after = shopper.slate(user)
    moves = moved(before["items"], after["items"])
    write(f"\nHousehold {user} buys: {bought.get('title') or bought['item']}. Their next slate, before -> after:")
    write(table(["was", "now", "item"], [[was, now, title] for was, now, title in moves]))
    return {"user": user, "bought": bought["item"], "applied": receipt["applied"], "moves": [list(move) for move in moves], "after": after}


def moved(before: Sequence[Any], after: Sequence[Any]) -> list[tuple[str, str, str]]:
    """(place before, place after, title) of everything in either slate, in the new order; `-` = not shown.

    >>> moved([{"item": "a"}, {"item": "b"}], [{"item": "c"}, {"item": "a"}])
    [('-', '1', 'c'), ('1', '2', 'a'), ('2', '-', 'b')]
    """
    was = {item["item"]: str(place) for place, item in enumerate(before, 1)}
    now = {item["item"]: str(place) for place, item in enumerate(after, 1)}
    rows = [*after, *(item for item in before if item["item"] not in now)]
    return [(was.get(i["item"], "-"), now.get(i["item"], "-"), i.get("title") or i["item"]) for i in rows]
