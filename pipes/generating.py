"""Thousands of items by one rule: leaves of the source's address space to leaves of the target's.

Both are read from the browse caches, so a preview asks no server anything. What the rule finds is
planned as an import of the same rows would be: an item that is there already is left as it is, or
changed, never doubled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipes import address_spaces, drafting, services
from pipes.browse_cache import BrowseCache
from pipes.core.fields import Kind, read_patch
from pipes.core.matching import (
    Finding,
    Leaf,
    MatchBy,
    Matches,
    findings,
    identifier_of,
    match_nodes,
    match_paths,
    namespace_of,
    path_of,
)
from pipes.core.plan import MOST_ROWS, Plan
from pipes.core.problems import FieldError
from pipes.core.wanted import Json
from pipes.models import Pipe
from pipes.patterns import rename
from pipes.refusals import Invalid
from pipes.store import without_collection

MOST_LEAVES: Final = 200_000
MOST_ITEMS: Final = 100_000
MOST_UNMATCHED: Final = 1000
SERVER_OBJECT: Final = "i=2253"
FIELDS: Final = ("pipe", "source_root", "target_root", "match", "pattern", "replace", "item")
_GIVEN_BY_THE_RULE: Final = ("pipe", "source_node", "target_node", "id")


@dataclass(frozen=True, slots=True)
class Rule:
    """A checked body of ``/items/generate``; ``item`` are further fields of every item."""

    pipe: Pipe
    source_root: str
    target_root: str
    match: MatchBy
    pattern: str
    replace: str
    item: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Generated:
    """A plan, what has no partner, what will not work, and what was looked at."""

    plan: Plan
    matches: Matches
    findings: Sequence[Finding]
    browsed: Mapping[str, Any]

    def body(self) -> dict[str, Any]:
        plan = self.plan.body()
        left_out = max(0, len(self.matches.unmatched) - MOST_UNMATCHED)
        shown = plan["findings"] if isinstance(plan["findings"], list) else []
        return {
            **plan,
            "findings": [*shown, *(each.body() for each in self.findings)],
            "unmatched": [each.body() for each in self.matches.unmatched[:MOST_UNMATCHED]],
            "unmatched_left_out": left_out,
            "unmatched_counts": self.matches.counts(),
            "browsed": dict(self.browsed),
        }


def read_rule(body: Mapping[str, Any]) -> Rule:
    """
    Raises:
        Invalid: each wrong field is named.
    """
    errors = [
        FieldError(name, f"is not a field here; there are {', '.join(FIELDS)}", value, FIELDS)
        for name, value in body.items()
        if name not in FIELDS
    ]
    texts = {}
    for name in FIELDS[:-1]:
        value = body.get(name)
        if value is not None and not isinstance(value, str):
            errors.append(FieldError(name, "must be a text", str(value)[:100]))
        texts[name] = value if isinstance(value, str) else ""
    pipe = (
        Pipe.objects.select_related("source", "target")
        .filter(name_key=texts["pipe"].casefold())
        .first()
    )
    match = texts["match"] or MatchBy.BROWSE_PATH
    errors += _errors(texts, match, is_pipe_known=pipe is not None)
    item, wrong = _item_fields(body.get("item"))
    errors += wrong
    if errors or pipe is None:
        raise Invalid(errors)
    return Rule(
        pipe,
        texts["source_root"],
        texts["target_root"],
        MatchBy(match),
        texts["pattern"],
        texts["replace"],
        item,
    )


def _errors(texts: Mapping[str, str], match: str, *, is_pipe_known: bool) -> list[FieldError]:
    errors = []
    if not texts["pipe"]:
        errors.append(FieldError("pipe", "is required"))
    elif not is_pipe_known:
        errors.append(FieldError("pipe", "names no pipe", texts["pipe"]))
    if match not in set(MatchBy):
        allowed = tuple(str(each) for each in MatchBy)
        errors.append(FieldError("match", f"must be {' or '.join(allowed)}", match, allowed))
    if match == MatchBy.PATTERN and not texts["pattern"]:
        errors.append(FieldError("pattern", "is required, because match is pattern"))
    if texts["replace"] and not texts["pattern"]:
        errors.append(FieldError("replace", "needs a pattern that it replaces", texts["replace"]))
    return errors


def _item_fields(given: Any) -> tuple[Mapping[str, Json], list[FieldError]]:
    if given is None:
        return {}, []
    if not isinstance(given, dict):
        return {}, [FieldError("item", "must be an object of item fields", str(given)[:100])]
    errors = [
        FieldError(f"item.{name}", "is given by the rule; leave it out", given[name])
        for name in _GIVEN_BY_THE_RULE
        if name in given
    ]
    _, wrong = read_patch(Kind.ITEM, given)
    return given, errors + [each.below("item") for each in wrong]


def generate(
    rule: Rule,
    *,
    user: str,
    reason: str,
    base_revision: int | None = None,
    dry_run: bool = False,
    rows: int = MOST_ROWS,
) -> Generated:
    """Plan what the rule finds, and unless it is a dry run make it one revision.

    Raises:
        Invalid: a root is not there, the pattern cannot be used, or too much was found.
        Conflict: a server was not browsed yet.
    """
    with without_collection():
        sources, of_source = _leaves(rule.pipe.source, "source_root", rule.source_root)
        targets, of_target = _leaves(rule.pipe.target, "target_root", rule.target_root)
        matches = _matched(rule, sources, targets, namespace_of(of_target["root"]))
    if len(matches.pairs) > MOST_ITEMS:
        message = f"maps {len(matches.pairs)} items; at most {MOST_ITEMS} go at once"
        raise Invalid([FieldError("source_root", message, rule.source_root)])
    listed: list[drafting.RawRow] = [
        (
            row,
            {
                **rule.item,
                "pipe": rule.pipe.name,
                "source_node": source.node_id,
                "target_node": target.node_id,
            },
        )
        for row, (source, target) in enumerate(matches.pairs, 1)
    ]
    plan = services.commit(
        lambda draft: drafting.put_items(draft, listed, fresh=False),
        user=user,
        reason=reason,
        base_revision=base_revision,
        dry_run=dry_run,
        rows=rows,
    )
    found = findings(matches.pairs, reads_target=rule.item.get("direction", "forward") != "forward")
    return Generated(plan, matches, found, {"source": of_source, "target": of_target})


def _leaves(server: Any, field: str, root: str) -> tuple[list[Leaf], dict[str, Any]]:
    with address_spaces.cache_of(server) as cache:
        try:
            found = address_spaces.find(cache, root)
        except address_spaces.NotInCache as error:
            raise Invalid([FieldError(field, str(error), root)]) from error
        leaves = _below(cache, found.id)
        if len(leaves) > MOST_LEAVES:
            message = f"has more than {MOST_LEAVES} variables below it; take a node further down"
            raise Invalid([FieldError(field, message, root)])
        return leaves, {**address_spaces.about(cache), "root": found.node_id, "leaves": len(leaves)}


def _below(cache: BrowseCache, root: int) -> list[Leaf]:
    """At most one more than the limit. What a server tells of itself (the Server object) is mapped
    only where it is asked for as the root.
    """
    paths = {root: ""}
    leaves: list[Leaf] = []
    for above, row in cache.walk(root):
        if above not in paths or row.node_id == SERVER_OBJECT:
            continue
        path = path_of(paths[above], row.name)
        if row.has_children:
            paths[row.id] = path
        if row.is_leaf:
            leaves.append(Leaf(row.node_id, path, row.type, row.rank, row.access))
            if len(leaves) > MOST_LEAVES:
                break
    return leaves


def _matched(
    rule: Rule, sources: Sequence[Leaf], targets: Sequence[Leaf], namespace: str
) -> Matches:
    if rule.match is MatchBy.PATTERN:
        renamed = rename(
            rule.pattern, rule.replace, [identifier_of(leaf.node_id) for leaf in sources]
        )
        return match_nodes(sources, targets, renamed, namespace)
    if rule.pattern:
        paths = rename(rule.pattern, rule.replace, [leaf.path for leaf in sources])
        return match_paths(sources, targets, paths)
    return match_paths(sources, targets)
