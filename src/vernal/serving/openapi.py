"""The OpenAPI text and the docs page of a table of routes."""

import html
import json
import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import msgspec

from vernal.serving.messages import ErrorAnswer
from vernal.serving.routes import Route

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b2a1f; }
h1 { font-weight: 600; } code, pre { font: 13px/1.45 ui-monospace, monospace; }
section { border-top: 1px solid #d5ddd2; padding: .6rem 0; } .method { display: inline-block; min-width: 4.5rem; color: #2e6b3b; font-weight: 600; }
.scope { float: right; color: #6b7a6e; } table { border-collapse: collapse; } td { padding: .1rem .9rem .1rem 0; vertical-align: top; }
""".strip()


def openapi(routes: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 description of the routes."""
    listed = list(routes)
    types = [kind for route in listed for kind in (route.body, route.answers) if kind is not None]
    unique = list({repr(kind): kind for kind in [*types, ErrorAnswer]}.values())
    schemas, components = msgspec.json.schema_components(unique, ref_template="#/components/schemas/{name}")
    by_type = dict(zip(map(repr, unique), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in listed:
        paths.setdefault(route.path, {})[route.method.lower()] = operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Vernal", "version": version("vernal")},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SECURITY},
    }


SECURITY = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "write_key": {"type": "http", "scheme": "basic", "description": "the key as user name, no password (Segment clients)"},
}


def operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    """One route as OpenAPI says it."""
    named = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in re.findall(r"{(\w+)}", route.path)]
    asked = [{"name": name, "in": "query", "description": text, "schema": {"type": "string"}} for name, text in route.query.items()]
    shape: dict[str, Any] = {"summary": route.summary, "operationId": operation_id(route), "parameters": [*named, *asked]}
    ok: dict[str, Any] = {"description": "done"}
    if route.answers is not None:
        ok["content"] = {"application/json": {"schema": schemas[repr(route.answers)]}}
    shape["responses"] = {"200": ok, "default": {"description": "refused", "content": {"application/json": {"schema": schemas[repr(ErrorAnswer)]}}}}
    if route.body is not None:
        shape["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[repr(route.body)]}}}
    if route.scope is not None:
        shape["security"] = [{name: [route.scope]} for name in SECURITY]
        shape["x-scope"] = route.scope
    return shape


def operation_id(route: Route) -> str:
    return re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_")


def docs_page(routes: Iterable[Route]) -> str:
    """The routes as one plain page, nothing loaded from anywhere."""
    described = openapi(routes)
    sections = "\n".join(
        section(path, method, shape, described["components"]["schemas"]) for path, methods in described["paths"].items() for method, shape in methods.items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Vernal API</title><style>{STYLE}</style>'
        f"<h1>Vernal {described['info']['version']}</h1>"
        f'<p>The same as JSON: <a href="/openapi.json">/openapi.json</a></p>{sections}</html>'
    )


def section(path: str, method: str, shape: dict[str, Any], schemas: dict[str, Any]) -> str:
    scope = shape.get("x-scope", "open")
    body = shape.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    fields = fields_table(body, schemas) if body else ""
    asked = "".join(row(p["name"], "query", p.get("description", "")) for p in shape["parameters"] if p["in"] == "query")
    table = f"<table>{asked}{fields}</table>" if asked or fields else ""
    return (
        f'<section><span class="scope">{scope}</span><span class="method">{method.upper()}</span> <code>{html.escape(path)}</code>'
        f"<p>{html.escape(shape['summary'])}</p>{table}</section>"
    )


def fields_table(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """Rows of the fields of a body, following one reference."""
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    properties = schema.get("properties", {})
    return "".join(row(name, kind_of(field), field.get("description", "")) for name, field in properties.items())


def kind_of(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(kind_of(option) for option in schema["anyOf"])
    return str(schema.get("type", "any"))


def row(name: str, kind: str, text: str) -> str:
    return f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(kind)}</td><td>{html.escape(text)}</td></tr>"


def openapi_json(routes: Iterable[Route]) -> bytes:
    return json.dumps(openapi(routes), indent=1).encode()
