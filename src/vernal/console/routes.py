"""The console as lines of a server's table of routes."""

from vernal.console.about import About, about
from vernal.console.pages import Page, pages
from vernal.serving.routes import Act, Answer, Call, Route, answer
from vernal.serving.service import Service


def console_routes() -> list[Route]:
    """The pages, open to everyone, and what they ask, with the scope `serve`."""
    static = [Route("GET", path, None, act_of(page), f"console: {path}") for path, page in pages().items()]
    return [*static, Route("GET", "/console/about.json", "serve", tell, "whom and what the try-it page suggests", answers=About)]


def act_of(page: Page) -> Act:
    """An act that answers one page."""
    headers = tuple((name.encode(), value.encode()) for name, value in page.headers)
    ready = Answer(200, page.content, page.media.encode(), headers)

    async def act(_service: Service, _call: Call) -> Answer:
        return ready

    return act


async def tell(service: Service, _call: Call) -> Answer:
    return answer(about(service.settings, service.log))
