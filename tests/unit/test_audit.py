"""The audit of dependencies: what its reports mean. That advisories can be read is a matter of the machine."""

from __future__ import annotations

import msgspec

from scripts.audit import Findings, Report, findings_of

REPORT = b"""{"dependencies": [
  {"name": "a", "version": "1.0", "vulns": []},
  {"name": "b", "version": "2.0", "vulns": [
    {"id": "PYSEC-1", "fix_versions": ["2.1", "3.0"], "aliases": ["CVE-1"], "description": "bad"},
    {"id": "PYSEC-2", "fix_versions": []}
  ]},
  {"name": "c", "skip_reason": "Dependency not found on PyPI"}
], "fixes": []}"""


def test_vulnerabilities_come_with_what_fixes_them() -> None:
    assert findings_of(msgspec.json.decode(REPORT, type=Report)) == Findings(
        ["b 2.0: PYSEC-1, fixed in 2.1, 3.0", "b 2.0: PYSEC-2, fixed in no version yet"],
        audited=2,
        reason="Dependency not found on PyPI",
    )


def test_a_registry_without_advisories_audits_nothing() -> None:
    report = Report(msgspec.json.decode(REPORT, type=Report).dependencies[2:])
    assert findings_of(report) == Findings([], audited=0, reason="Dependency not found on PyPI")
