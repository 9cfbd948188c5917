"""The error of the store. Cheap to import: no database library."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot be used; the message names the database, without its password, and says what to do."""
