"""What the station shall do, in the database: servers, pipes, items and numbered revisions.

``body`` of a row is the object's piece of the canonical document (`pipes.core.configuration`); the
other columns are made from it for lists, filters and references. Only `pipes.store` writes here,
in one transaction with the revision that explains the change. There is no constraint that two
items must differ: two of them may exchange their nodes in one revision; `pipes.core.draft` checks
the whole, and the revision's number guards it.
"""

from __future__ import annotations

import json
from typing import Any, cast

from django.db import models

from pipes.core.fields import Kind, complete, complete_item


class Configured(models.Model):
    """One configured object; ``revision`` is the number of the one that last changed it (ETag)."""

    body = models.TextField()  # compact JSON with sorted keys: a digest counts its bytes
    enabled = models.BooleanField(default=True)
    revision = models.PositiveBigIntegerField()

    class Meta:
        abstract = True

    @property
    def trimmed(self) -> dict[str, Any]:
        """The body as the document has it, defaults left out."""
        return cast("dict[str, Any]", json.loads(self.body))


class Server(Configured):
    name = models.CharField(max_length=64)
    name_key = models.CharField(max_length=200, unique=True)  # casefold may lengthen a name
    endpoint = models.TextField()
    note = models.TextField(default="", blank=True)
    secret = models.TextField(default="", blank=True)  # the password, encrypted
    namespaces = models.JSONField(default=list, blank=True)  # as last read from the server

    class Meta:
        ordering = ("name_key",)

    def __str__(self) -> str:
        return self.name

    @property
    def has_password(self) -> bool:
        return bool(self.secret)

    def complete(self) -> dict[str, Any]:
        """The contract's body without ``status``; the password is never in it."""
        whole = complete(Kind.SERVER, self.trimmed)
        return whole | {"password": None, "has_password": self.has_password}


class Pipe(Configured):
    name = models.CharField(max_length=64)
    name_key = models.CharField(max_length=200, unique=True)
    source = models.ForeignKey(Server, models.PROTECT, related_name="pipes_from")
    target = models.ForeignKey(Server, models.PROTECT, related_name="pipes_to")
    note = models.TextField(default="", blank=True)

    class Meta:
        ordering = ("name_key",)

    def __str__(self) -> str:
        return self.name

    def complete(self) -> dict[str, Any]:
        """The contract's body without ``status``."""
        return complete(Kind.PIPE, self.trimmed)


class Item(Configured):
    """Its ``id`` is given by `pipes.core.draft`, the same on both stations, and never again."""

    pipe = models.ForeignKey(Pipe, models.PROTECT, related_name="items")
    source_node = models.TextField()
    target_node = models.TextField()
    direction = models.CharField(max_length=16)
    kind = models.CharField(max_length=16)
    trigger = models.CharField(max_length=32)
    quality = models.CharField(max_length=16, default="", blank=True)  # "" is the pipe's
    note = models.TextField(default="", blank=True)

    class Meta:
        ordering = ("id",)
        indexes = (models.Index(fields=("pipe", "id"), name="pipes_item_pipe_id"),)

    def __str__(self) -> str:
        return f"{self.pk}: {self.source_node} to {self.target_node}"

    def complete(self) -> dict[str, Any]:
        """The contract's body without ``status``."""
        return complete_item(self.trimmed, self.pipe.trimmed)


class Revision(models.Model):
    """One numbered change of the whole configuration; ``changes`` lead back to the one before."""

    number = models.PositiveBigIntegerField(primary_key=True)
    at = models.DateTimeField()
    user = models.CharField(max_length=200)
    reason = models.TextField(default="", blank=True)
    counts = models.JSONField()
    digest = models.CharField(max_length=71)
    next_item_id = models.PositiveBigIntegerField()
    conflict = models.BooleanField(default=False)
    changes = models.BinaryField()  # compressed; see pipes.store

    class Meta:
        ordering = ("-number",)

    def __str__(self) -> str:
        return f"revision {self.number}"
