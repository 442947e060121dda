"""Which source node goes to which target node, by a rule for thousands of them.

Both sides are lists of leaves: variables that are no properties and have no variables below them
but properties. The rule gives each source leaf the key of the target that it wants: a relative
browse path, or a NodeId. Names are compared without their namespace, which differs between
servers that are otherwise twins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from pipes.core.conversion import AbstractType, TargetType, is_convertible
from pipes.core.node_ids import NodeIdError, format_parsed, parse
from pipes.core.values import VariantType, type_named

MOST_SHOWN: Final = 100

CAN_READ: Final = 1
CAN_WRITE: Final = 2
SCALAR: Final = -1


class MatchBy(StrEnum):
    BROWSE_PATH = "browse_path"
    PATTERN = "pattern"


class Side(StrEnum):
    SOURCE = "source"
    TARGET = "target"


class Unfit(StrEnum):
    """Why a leaf has no partner."""

    NO_TARGET = "no_target"
    NO_SOURCE = "no_source"
    AMBIGUOUS = "ambiguous"
    TAKEN = "taken"
    PATTERN = "pattern"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A variable below a root. ``path`` is relative to it, `path_of` makes it; ``type`` is the
    built-in type's name or an abstract one's, "" if it is not known, as is a rank of None.
    """

    node_id: str
    path: str
    type: str = ""
    rank: int | None = None
    access: int = CAN_READ | CAN_WRITE


@dataclass(frozen=True, slots=True)
class Unmatched:
    side: Side
    leaf: Leaf
    reason: Unfit
    message: str

    def body(self) -> dict[str, str]:
        """The contract's entry of ``unmatched``."""
        return {
            "side": str(self.side),
            "node": self.leaf.node_id,
            "path": self.leaf.path,
            "reason": str(self.reason),
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Matches:
    pairs: Sequence[tuple[Leaf, Leaf]]
    unmatched: Sequence[Unmatched]

    def counts(self) -> dict[str, int]:
        counts = {"matched": len(self.pairs), "source": 0, "target": 0}
        for each in self.unmatched:
            counts[each.side] += 1
        return counts


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with some pairs; ``places`` are their positions, from 1."""

    severity: str
    rule: str
    message: str
    places: Sequence[int]

    def body(self) -> dict[str, object]:
        return {
            "severity": self.severity,
            "rule": self.rule,
            "message": self.message,
            "items": [],
            "count": len(self.places),
            "rows": list(self.places[:MOST_SHOWN]),
        }


def path_of(above: str, name: str) -> str:
    """The path of a child: ``Area/Tag``; ``/`` and ``&`` in a name get an ``&`` before them
    (Part 4, annex A.2).
    """
    escaped = name.replace("&", "&&").replace("/", "&/")
    return f"{above}/{escaped}" if above else escaped


def match_paths(
    sources: Sequence[Leaf], targets: Sequence[Leaf], renamed: Sequence[str | None] | None = None
) -> Matches:
    """By relative browse path. A path in which the pattern does not occur stays as it is."""
    paths = [leaf.path for leaf in sources]
    wanted = (
        paths if renamed is None else [new or old for new, old in zip(renamed, paths, strict=True)]
    )
    return _match(sources, wanted, targets, [leaf.path for leaf in targets], {})


def match_nodes(
    sources: Sequence[Leaf],
    targets: Sequence[Leaf],
    renamed: Sequence[str | None],
    namespace: str,
) -> Matches:
    """By NodeId. ``renamed`` is made of `identifier_of` each source; what names no namespace is in
    ``namespace`` (such as ``nsu=urn:plant;``, ``ns=1;`` or nothing); if that is nothing, in the
    source's own.
    """
    wanted: list[str | None] = []
    wrong: dict[int, Unmatched] = {}
    for place, (leaf, text) in enumerate(zip(sources, renamed, strict=True)):
        wanted.append(None)
        if text is None:
            message = f"the pattern does not occur in {identifier_of(leaf.node_id)}"
            wrong[place] = Unmatched(Side.SOURCE, leaf, Unfit.PATTERN, message)
            continue
        try:
            wanted[place] = _whole_node_id(text, namespace or namespace_of(leaf.node_id))
        except NodeIdError as error:
            wrong[place] = Unmatched(Side.SOURCE, leaf, Unfit.INVALID, str(error))
    return _match(sources, wanted, targets, [leaf.node_id for leaf in targets], wrong)


def namespace_of(node_id: str) -> str:
    """What stands before the identifier of a NodeId: ``nsu=urn:plant;``, or nothing."""
    return node_id[: -len(identifier_of(node_id))]


def identifier_of(node_id: str) -> str:
    """The identifier of a NodeId with its kind: ``s=Area.Tag``."""
    if not node_id.startswith("ns"):
        return node_id
    return node_id.partition(";")[2]


def _whole_node_id(text: str, namespace: str) -> str:
    whole = text if text.startswith(("ns=", "nsu=")) else namespace + text
    return format_parsed(parse(whole))


def _match(
    sources: Sequence[Leaf],
    wanted: Sequence[str | None],
    targets: Sequence[Leaf],
    keys: Sequence[str],
    wrong: Mapping[int, Unmatched],
) -> Matches:
    by_key: dict[str, int] = {}
    doubled: dict[str, int] = {}
    for place, offered in enumerate(keys):
        if offered in by_key:
            doubled[offered] = doubled.get(offered, 1) + 1
        by_key.setdefault(offered, place)
    pairs: list[tuple[Leaf, Leaf]] = []
    unmatched: list[Unmatched] = []
    takers: dict[int, Leaf] = {}
    for place, (leaf, key) in enumerate(zip(sources, wanted, strict=True)):
        found = None if key is None else by_key.get(key)
        if key is None or found is None or key in doubled or found in takers:
            unmatched.append(wrong.get(place) or _alone(leaf, key or "", doubled, found, takers))
            continue
        takers[found] = leaf
        pairs.append((leaf, targets[found]))
    unmatched += [
        Unmatched(Side.TARGET, leaf, Unfit.NO_SOURCE, "no source node is mapped to it")
        for place, leaf in enumerate(targets)
        if place not in takers
    ]
    return Matches(pairs, unmatched)


def _alone(
    leaf: Leaf,
    key: str,
    doubled: Mapping[str, int],
    found: int | None,
    takers: Mapping[int, Leaf],
) -> Unmatched:
    if key in doubled:
        message = f"the target has {doubled[key]} variables {key}; none of them is chosen"
        return Unmatched(Side.SOURCE, leaf, Unfit.AMBIGUOUS, message)
    if found is not None:
        message = f"{takers[found].node_id} is mapped to {key} already"
        return Unmatched(Side.SOURCE, leaf, Unfit.TAKEN, message)
    return Unmatched(Side.SOURCE, leaf, Unfit.NO_TARGET, f"the target has no variable {key}")


# --- whether a pair fits together -------------------------------------------------------------


def findings(pairs: Sequence[tuple[Leaf, Leaf]], *, reads_target: bool = False) -> list[Finding]:
    """What will not work between the nodes as they are; ``reads_target`` for items that move in
    reverse too. A transform may change the type: this looks at the nodes alone.
    """
    places: dict[tuple[str, str, str], list[int]] = {}
    for place, (source, target) in enumerate(pairs, 1):
        for found in _wrong_with(source, target, reads_target=reads_target):
            places.setdefault(found, []).append(place)
    return [
        Finding(severity, rule, f"{len(those)} × {message}", those)
        for (severity, rule, message), those in sorted(places.items())
    ]


def _wrong_with(source: Leaf, target: Leaf, *, reads_target: bool) -> list[tuple[str, str, str]]:
    found = []
    if not is_type_fit(source.type, target.type):
        text = f"{source.type} does not convert to {target.type}"
        found.append(("error", "type_mismatch", text))
    if not is_rank_fit(source.rank, target.rank):
        text = f"ValueRank {source.rank} does not fit ValueRank {target.rank}"
        found.append(("error", "rank_mismatch", text))
    needs = CAN_READ | CAN_WRITE if reads_target else CAN_READ
    if not source.access & CAN_READ or (reads_target and not source.access & CAN_WRITE):
        what = "read and written" if reads_target else "read"
        found.append(("error", "source_access", f"the source node cannot be {what}"))
    if not target.access & CAN_WRITE or (needs & CAN_WRITE and not target.access & CAN_READ):
        what = "read and written" if reads_target else "written"
        found.append(("error", "target_access", f"the target node cannot be {what}"))
    return found


@lru_cache(maxsize=1024)  # some thousand pairs have a handful of types
def is_type_fit(source: str, target: str) -> bool:
    """Whether values of one type convert to the other; an unknown or open type fits."""
    read, written = type_named(source), target_type(target)
    if read is None or read is VariantType.VARIANT or written is None:
        return True
    return is_convertible(read, written)


def target_type(name: str) -> TargetType | None:
    """The type that a name of a target's type means; None if it is not known."""
    if name in set(AbstractType):
        return AbstractType(name)
    return type_named(name)


@lru_cache(maxsize=256)
def is_rank_fit(source: int | None, target: int | None) -> bool:
    """Whether a rank of the source can be one of the target (Part 3, 5.6.2)."""
    if source is None or target is None:
        return True
    return bool(_ranks(source) & _ranks(target))


_MOST_RANK: Final = 8


def _ranks(value_rank: int) -> frozenset[int]:
    """The numbers of dimensions that a ValueRank allows; 0 is a scalar."""
    if value_rank == SCALAR:
        return frozenset((0,))
    if value_rank == -3:  # ScalarOrOneDimension
        return frozenset((0, 1))
    if value_rank == 0:  # OneOrMoreDimensions
        return frozenset(range(1, _MOST_RANK))
    if value_rank < 0:  # Any
        return frozenset(range(_MOST_RANK))
    return frozenset((value_rank,))
