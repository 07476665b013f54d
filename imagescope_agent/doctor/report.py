"""What `imagescope doctor` found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check of one model.

    Attributes:
        what: "embedder" or the roles that share the model.
        check: what was tried.
        ok: whether it holds; a model that lacks an optional power is ok and says so.
        detail: the figure, or what is wrong and how to mend it.
    """

    what: str
    check: str
    ok: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class DoctorReport:
    """All findings about a profile.

    Attributes:
        exit_code: 0 when everything holds, else that of the first failure.
    """

    profile: str
    machine: dict[str, Any]
    findings: list[Finding] = field(default_factory=list)
    exit_code: int = 0

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return all(finding.ok for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "profile": self.profile,
            "ok": self.ok,
            "machine": self.machine,
            "checks": [vars(finding) for finding in self.findings],
        }

    def table(self) -> str:
        """As text, one check a line."""
        rows = [("ok" if each.ok else "FAILS", each.what, each.check, each.detail) for each in self.findings]
        widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else []
        return "\n".join(
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
            for row in rows
        )
