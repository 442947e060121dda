"""How spectacular describes our views: unique operation ids, and something for every answer."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from rest_framework.generics import GenericAPIView


class StationSchema(AutoSchema):
    """An operation is named after its path, parameters included, and its method."""

    def get_operation_id(self) -> str:
        path = self.path.removeprefix("/api/v1").strip("/")
        parts = [part.strip("{}").replace("-", "_") for part in path.split("/") if part]
        return "_".join([*parts, self.method.lower()])

    def get_request_serializer(self) -> Any:
        return super().get_request_serializer() if self._is_described() else None

    def get_response_serializers(self) -> Any:
        return super().get_response_serializers() if self._is_described() else OpenApiTypes.OBJECT

    def _is_described(self) -> bool:
        """Whether the view itself says what its bodies are."""
        return isinstance(self.view, GenericAPIView) or hasattr(self.view, "serializer_class")
