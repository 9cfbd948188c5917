"""Opens the ledger that the settings name."""

from __future__ import annotations

from pathlib import Path

from rerankd.access.limits.ledger import Ledger
from rerankd.access.limits.local_ledger import LocalLedger
from rerankd.access.limits.patience import LONGEST_WAIT_S
from rerankd.access.limits.settings import LedgerSettings

_LONGEST_PAUSE_S = 2.0
_FILE_NAME = "limits.counts"


def open_ledger(settings: LedgerSettings, state_directory: Path) -> Ledger:
    """Make the ledger; it opens nothing before it is started.

    Args:
        settings: Where it counts.
        state_directory: Folder of its file unless the settings name one.
    """
    timeout_s = settings.timeout_ms / 1000
    if settings.redis_url:
        from rerankd.access.limits.redis_ledger import RedisLedger
        from rerankd.cache.redis_link import RedisLink

        link = RedisLink(settings.redis_url, max(timeout_s, LONGEST_WAIT_S), longest_pause_s=_LONGEST_PAUSE_S)
        return RedisLedger(link, settings.key_prefix, timeout_s)
    return LocalLedger(Path(settings.path) if settings.path else state_directory / _FILE_NAME, timeout_s)
