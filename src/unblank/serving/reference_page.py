"""`/docs`: the OpenAPI document as one page of plain HTML, which needs no script and no network."""

import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["reference_page"]

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { margin-top: 2.5rem; border-top: 1px solid #8886; padding-top: 1rem; }
code, pre { font: 14px/1.4 ui-monospace, monospace; }
pre { background: #8882; padding: .75rem; overflow-x: auto; }
td, th { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; }
"""


def reference_page(document: Mapping[str, Any]) -> str:
    """Return the page."""
    title = html.escape(document["info"]["title"])
    about = html.escape(document["info"].get("description", ""))
    schemas = document.get("components", {}).get("schemas", {})
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><p>{about}</p>",
        '<p>For programs: <a href="/openapi.json">openapi.json</a></p>',
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts += _operation(path, method.upper(), operation, schemas)
    return "\n".join([*parts, "</body></html>"])


def _operation(
    path: str, method: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]
) -> Iterator[str]:
    yield f"<h2><code>{method} {html.escape(path)}</code></h2>"
    yield f"<p>{html.escape(operation.get('summary', ''))}</p>"
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content:
        schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
        yield from _fields(schema)
        yield from _request(path, schema)
    for status, response in operation["responses"].items():
        content = response.get("content", {}).get("application/json", {})
        if status == "200" and "example" in content:
            example = json.dumps(content["example"], indent=2, ensure_ascii=False)
            yield f"<p>Response</p><pre>{html.escape(example)}</pre>"
    refused = [
        f"{status}: {html.escape(response['description'])}"
        for status, response in operation["responses"].items()
        if status != "200"
    ]
    if refused:
        yield f"<p>{'<br>'.join(refused)}</p>"


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    yield "<table><tr><th>field</th><th>default</th><th></th></tr>"
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        default = "required" if name in required else json.dumps(field.get("default"))
        text = html.escape(field.get("description", ""))
        yield f"<tr><td><code>{name}</code></td><td>{html.escape(default)}</td><td>{text}</td></tr>"
    yield "</table>"


def _request(path: str, schema: Mapping[str, Any]) -> Iterator[str]:
    fields = schema["properties"].items()
    body = {name: field["examples"][0] for name, field in fields if "examples" in field}
    if body:
        text = json.dumps(body, ensure_ascii=False)
        command = f"curl localhost:8000{path} -H 'Content-Type: application/json' -d '{text}'"
        yield f"<p>Request</p><pre>{html.escape(command)}</pre>"
