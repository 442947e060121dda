"""REST of a transform's preview."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from pipes import commands, schemas
from pipes.previewing import MOST_VALUES, compiled, preview, server_of
from pipes.rest import body_object, invalid, only_fields
from pipes.views.common import PipesView


class PreviewView(PipesView):
    """What would be written for some values, or for the present value of a node, or why not."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": "engineer"}

    @extend_schema(**schemas.previewed())
    def post(self, request: Request) -> Response:
        body = body_object(request)
        only_fields(body, ["transform", "direction", "values", "server", "pipe", "source_node"])
        transform = compiled(body)
        return Response([preview(transform, value) for value in _values(body)])


def _values(body: Mapping[str, Any]) -> list[Any]:
    values, node = body.get("values"), body.get("source_node")
    if (values is None) == (node is None):
        raise invalid("values", None, "give either values or source_node")
    if values is not None:
        if not isinstance(values, list) or len(values) > MOST_VALUES:
            raise invalid("values", None, f"values takes a list of at most {MOST_VALUES} values")
        return values
    if not isinstance(node, str):
        raise invalid("source_node", node, "source_node takes a NodeId such as ns=2;s=Name")
    found = commands.run("pipes.read_nodes", server=server_of(body), nodes=[node])
    return [found[0]["value"]]
