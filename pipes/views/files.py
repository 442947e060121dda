"""REST of items as files: import, export, template."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import PurePath
from tempfile import SpooledTemporaryFile
from typing import IO, Any, ClassVar, Final

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from pipes import imports, item_templates, schemas
from pipes.drafting import MERGE, MODES
from pipes.rest import choice, flag, if_match, invalid, only_fields, reason
from pipes.views.common import PipesView, check_base, plan_answer, rows, user_name

IN_MEMORY: Final = 1024 * 1024
MEDIA_TYPES: Final = {
    imports.CSV: "text/csv; charset=utf-8",
    imports.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    imports.JSON: "application/json",
}
_TEMPLATES: Final = {
    imports.CSV: item_templates.csv,
    imports.XLSX: item_templates.workbook,
    imports.JSON: item_templates.json,
}
_FORMS: Final = {media_type.split(";")[0]: form for form, media_type in MEDIA_TYPES.items()}
_MULTIPART: Final = "multipart/form-data"
#: What an import may come as; a body without a type is bytes (RFC 9110, 8.3).
_ACCEPTED: Final = (_MULTIPART, *_FORMS, "application/octet-stream")


class WholeBody(BaseParser):
    """The body itself is the file; it goes to a file on disk when it is large."""

    media_type = "*/*"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        del media_type, parser_context
        file = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - it lives as long as the request
        while chunk := stream.read(64 * 1024):
            file.write(chunk)
        file.seek(0)
        return file


class ImportView(PipesView):
    """Items from a file: a plan, or the applied plan."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": "engineer"}
    parser_classes = (MultiPartParser, WholeBody)

    @extend_schema(**schemas.imported())
    def post(self, request: Request) -> Response:
        _check_media_type(request)
        file, name = _file(request)
        form = _form(request, name)
        mode = choice(request, "mode", MODES, MERGE)
        if flag(request, "dry_run"):
            check_base(if_match(request))
            return plan_answer(imports.plan_import(file, form, mode=mode, rows=rows(request)))
        plan = imports.apply_import(
            file,
            form,
            mode=mode,
            user=user_name(request),
            reason=reason(request),
            base_revision=if_match(request),
            rows=rows(request),
        )
        return plan_answer(plan)


class ExportView(PipesView):
    """The items (of one pipe) as a file with the columns that import reads."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer"}

    @extend_schema(**schemas.exported("pipe", "separator"))
    def get(self, request: Request) -> HttpResponse:
        query = request.query_params
        only_fields(dict(query.items()), ["format", "pipe", "separator"])
        form = choice(request, "format", imports.FORMATS, imports.CSV)
        content = imports.export_items(form, query.get("pipe"), query.get("separator") or ",")
        return _download(content, form, "items")


class TemplateView(PipesView):
    """A table to fill in: every column, with examples that are comments."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer"}

    @extend_schema(**schemas.exported())
    def get(self, request: Request) -> HttpResponse:
        form = choice(request, "format", imports.FORMATS, imports.CSV)
        return _download(_TEMPLATES[form](), form, "items-template")


def _media_type(request: Request) -> str:
    return request.content_type.split(";")[0].strip().lower()


def _check_media_type(request: Request) -> None:
    """Refuse what is no table before it is read."""
    media_type = _media_type(request)
    if media_type and media_type not in _ACCEPTED:
        text = f"{media_type} is not imported; send {', '.join(_ACCEPTED)}"
        raise UnsupportedMediaType(media_type, text)


def _file(request: Request) -> tuple[IO[bytes], str]:
    """The uploaded file and its name; the body itself has none."""
    data: Any = request.data
    if _media_type(request) == _MULTIPART:
        upload = request.FILES.get("file")
        if upload is None:
            raise invalid("file", None, "The form needs a part named file that is a file")
        return upload, str(upload.name)
    return (data if hasattr(data, "read") else BytesIO()), ""


def _form(request: Request, name: str) -> str:
    """``?format=``, else by the file's name, else by the media type."""
    if "format" in request.query_params:
        return choice(request, "format", imports.FORMATS, "")
    extension = PurePath(name).suffix.lower().removeprefix(".")
    if extension in imports.FORMATS:
        return extension
    media_type = _media_type(request)
    if media_type in _FORMS:
        return _FORMS[media_type]
    raise UnsupportedMediaType(
        media_type, f"{media_type or 'no media type'}: say ?format=csv, xlsx or json"
    )


def _download(content: bytes, form: str, name: str) -> HttpResponse:
    answer = HttpResponse(content, content_type=MEDIA_TYPES[form])
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    return answer
