"""A real LiteLLM proxy, from an environment of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.canary import CANARY_SECRET
from tests.support.venvs import venv_of

LITELLM: Final = "litellm[proxy]==1.106.2"
KEY: Final = f"sk-{CANARY_SECRET}"


def proxy_program(folder: Path, port: int, models: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs a proxy, which retries nothing itself, and its whole environment.

    Args:
        folder: For its settings; also its home.
        port: It listens here, on 127.0.0.1.
        models: `litellm_params` by the name callers send.
    """
    venv = venv_of("litellm", LITELLM)
    settings = {
        "model_list": [
            {"model_name": name, "litellm_params": {**parameters, "api_key": "upstream-key"}}
            for name, parameters in models.items()
        ],
        "general_settings": {"master_key": KEY},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }
    (folder / "litellm.yaml").write_text(yaml.safe_dump(settings))
    command = [str(venv / "bin" / "litellm"), "--config", str(folder / "litellm.yaml")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return [*command, "--host", "127.0.0.1", "--port", str(port)], environment
