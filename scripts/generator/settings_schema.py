"""Renders the JSON schema of the settings file from the settings' types."""

from __future__ import annotations

import json

from rerankd.configuration.schema import json_schema
from rerankd.settings import NOT_SETTINGS, Settings


def render_schema() -> str:
    """Render the file."""
    schema = json_schema(Settings, title="Settings of rerankd", hidden=NOT_SETTINGS)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
