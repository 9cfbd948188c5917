"""Libraries that only some providers need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rerankd_adapters.base import AdapterError, AdapterErrorKind


def require(module: str, extra: str) -> Any:
    """Import an optional library.

    Args:
        module: Dotted name of the module.
        extra: Extra of this distribution that installs it.

    Raises:
        AdapterError: `CREDENTIALS` when it is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ImportError:
        message = f"{module.partition('.')[0]} is not installed; install rerankd[{extra}]"
        raise AdapterError(AdapterErrorKind.CREDENTIALS, message) from None
