"""Which photos go: what the methods propose, and above it what people decided."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from siamclip.cleaning.apply.moving.journal import Keeper, Removal
from siamclip.cleaning.apply.user_decisions import UserDecisions
from siamclip.cleaning.method_table import METHODS
from siamclip.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

    from siamclip.cleaning.contracts import PhotoTable

BY_HAND = "decision"  # in the place of a method's name
_REMOVED = "removed by a decision"
Table: TypeAlias = "pa.Table | Mapping[str, Sequence[Any]]"


@dataclass
class RemovalPlan:
    """What apply would do.

    `kept_by_hand`: proposed by a method, kept by a decision. `unverifiable`: proposed, but the scan could not read a
    byte of them, so that nobody can say later whether they are still the same; they stay.
    `keeper_goes`: copies that go although the photo that was to stay for them goes by a decision.
    `keepers`: path of a copy that goes -> the photos that are to stay for it; those of an archive have absolute paths.
    """

    removals: list[Removal] = field(default_factory=list)
    kept_by_hand: list[str] = field(default_factory=list)
    unverifiable: list[str] = field(default_factory=list)
    keeper_goes: list[str] = field(default_factory=list)
    keepers: dict[str, tuple[Keeper, ...]] = field(default_factory=dict)


def plan_removals(
    findings: Table, photos: PhotoTable, decisions: UserDecisions | None = None, methods: Collection[str] | None = None
) -> RemovalPlan:
    """The removals in the order of their paths.

    A photo goes if any finding (of `methods`, where given) has keep False, or a decision says so, and stays if a
    decision says so. Photos of an archive always stay. `findings`: columns path (text, or bytes), method, reason,
    keep, content, related. Raises UserError where findings or decisions are about other photos than the scan's.
    """
    everywhere = {path: row for row, path in enumerate(photos.paths)}
    rows = {path: row for path, row in everywhere.items() if not photos.is_archived[row]}
    proposed: dict[str, list[tuple[str, str]]] = {}
    keepers: dict[str, set[str]] = {}
    for path, method, reason, content, related in _proposals(findings):
        if methods is not None and method not in methods:
            continue
        if path not in rows or _content(photos, rows[path]) != content:
            raise UserError("", f"{path}: is another photo in the scan than in the findings", "run find again")
        proposed.setdefault(path, []).append((method, reason))
        if related and METHODS[method].family == "duplicates":
            keepers.setdefault(path, set()).add(related)
    result = RemovalPlan()
    for decision in () if decisions is None else decisions.photos:
        if decision.path not in rows:
            raise UserError("decisions", f"{decision.path} is not in the scan", "make the report again and decide anew")
        if _content(photos, rows[decision.path]) != decision.content:
            raise UserError(
                "decisions",
                f"{decision.path} has other content now than when it was decided on",
                "make the report again and decide anew",
            )
        if not decision.keep:
            proposed.setdefault(decision.path, []).append((BY_HAND, _REMOVED))
        elif proposed.pop(decision.path, None) is not None:
            result.kept_by_hand.append(decision.path)
    for path in sorted(proposed):
        row = rows[path]
        if not photos.content[row]:
            result.unverifiable.append(path)
            continue
        names = tuple(dict.fromkeys(method for method, _ in proposed[path]))
        reasons = "; ".join(dict.fromkeys(reason for _, reason in proposed[path]))
        if any((BY_HAND, _REMOVED) in proposed.get(keeper, ()) for keeper in keepers.get(path, ())):
            result.keeper_goes.append(path)
        result.removals.append(Removal(path, _content(photos, row), int(photos.bytes[row]), reasons, names))
    result.keepers = {
        removal.path: tuple(
            Keeper(keeper, _content(photos, everywhere[keeper]), int(photos.bytes[everywhere[keeper]]))
            for keeper in sorted(keepers.get(removal.path, ()))
            if keeper in everywhere and keeper not in proposed
        )
        for removal in result.removals
    }
    return result


def _proposals(findings: Table) -> Iterator[tuple[str, str, str, str, str]]:
    """(path, method, reason, content, related) of the rows that propose a removal."""
    names = ("path", "method", "reason", "content", "related", "keep")
    columns = [findings[name] for name in names]
    lists = [column.to_pylist() if hasattr(column, "to_pylist") else column for column in columns]
    for path, method, reason, content, related, keep in zip(*lists, strict=True):
        if not keep:
            yield os.fsdecode(path), str(method), str(reason), os.fsdecode(content), os.fsdecode(related or "")


def _content(photos: PhotoTable, row: int) -> str:
    return bytes(photos.content[row]).decode("ascii")
