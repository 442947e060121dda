"""What the sample plants contain, and the configuration that mirrors each into the other.

Pure. Half of the items move values from NORTH to SOUTH, half the other way; a temperature
setpoint moves both ways, so that it can be changed in either plant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from mirrorsite.demo.movement import SETPOINT, TAGS, TagKind

NORTH: Final = "north"
SOUTH: Final = "south"
REACTORS_PER_AREA: Final = 4


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of a plant."""

    reactor: int
    kind: TagKind

    @property
    def folders(self) -> tuple[str, str]:
        area = self.reactor // REACTORS_PER_AREA + 1
        return f"Area{area}", f"R{area}{self.reactor % REACTORS_PER_AREA + 1:02d}"

    @property
    def path(self) -> str:
        """Its string NodeId in its own plant."""
        return ".".join((*self.folders, self.kind.name))


def namespace(plant: str) -> str:
    return f"urn:mirrorsite:demo:{plant}"


def mirror_folder(plant: str) -> str:
    """The folder in the other plant that shows this one's tags; also the prefix of their ids."""
    return f"From_{plant}"


def other(plant: str) -> str:
    return SOUTH if plant == NORTH else NORTH


def tags(count: int) -> Iterator[Tag]:
    """The first ``count`` tags of a plant, reactor by reactor."""
    for number in range(count):
        reactor, place = divmod(number, len(TAGS))
        yield Tag(reactor, TAGS[place])


def share(plant: str, items: int) -> int:
    """How many of the demo's items start in this plant."""
    return (items + 1) // 2 if plant == NORTH else items // 2


def document(items: int, endpoints: dict[str, str]) -> dict[str, Any]:
    """The demo's configuration document."""
    return {
        "format": "mirrorsite",
        "version": 1,
        "servers": [
            {
                "name": plant.upper(),
                "endpoint": endpoints[plant],
                "security_policy": "None",
                "security_mode": "None",
                "note": "A sample plant of the demo",
            }
            for plant in (NORTH, SOUTH)
        ],
        "pipes": [
            {"name": _pipe(plant), "source": plant.upper(), "target": other(plant).upper()}
            for plant in (NORTH, SOUTH)
        ],
        "items": [
            _item(plant, tag) for plant in (NORTH, SOUTH) for tag in tags(share(plant, items))
        ],
    }


def _pipe(plant: str) -> str:
    return f"{plant}_to_{other(plant)}".upper()


def _item(plant: str, tag: Tag) -> dict[str, str]:
    target = f"{mirror_folder(plant)}.{tag.path}"
    return {
        "pipe": _pipe(plant),
        "source_node": f"nsu={namespace(plant)};s={tag.path}",
        "target_node": f"nsu={namespace(other(plant))};s={target}",
        "direction": "both" if tag.kind.name == SETPOINT else "forward",
        "note": tag.kind.text,
    }
