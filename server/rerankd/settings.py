"""Everything the operator can set: one YAML file, environment variables over it, flags over both.

`RERANKD_SERVER__HTTP_PORT=8081` sets `server.http_port`; values are read as YAML scalars. Unknown keys are
refused with the closest known one, so that a typing error never means a default in silence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from rerankd.engine.limits import RequestLimits
from rerankd.local.options import LocalOptions
from rerankd.suggestions import did_you_mean
from rerankd.upstream.options import ProviderOptions, TransportOptions

ENVIRONMENT_PREFIX = "RERANKD_"
CONFIG_VARIABLE = "RERANKD_CONFIG"
_REFERENCE = re.compile(r"\$\{(\w+)\}")
CLIENT_VARIABLES = frozenset({CONFIG_VARIABLE, "RERANKD_ADDRESS", "RERANKD_API_KEY"})
"""Variables with our prefix that are not settings of the server."""


class Keepalive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """HTTP/2 keepalive: finds dead clients, keeps idle connections through proxies."""

    time_s: float = 60.0
    """Seconds of silence after which the server pings."""
    timeout_s: float = 20.0
    """Seconds to wait for the pong before the connection is closed."""
    min_client_interval_s: float = 10.0
    """Clients that ping more often than this are sent away (ENHANCE_YOUR_CALM)."""


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the server listens and how it stops."""

    host: str = "127.0.0.1"
    """Address of both listeners. Loopback by default: the service has no authentication of its own yet."""
    grpc_port: int = 50051
    """Port of the gRPC listener; 0 picks a free one."""
    http_port: int = 8080
    """Port of the HTTP listener; 0 picks a free one."""
    workers: int = 1
    """Worker processes that share both ports."""
    drain_delay_s: float = 0.0
    """Seconds between failing health checks and closing the listeners, for load balancers to notice."""
    drain_grace_s: float = 30.0
    """Seconds that calls under way get to finish once the listeners are closed."""
    keepalive: Keepalive = Keepalive()
    """HTTP/2 keepalive of the gRPC listener."""


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""
    format: Literal["auto", "json", "pretty"] = "auto"
    """"auto" is pretty on a terminal and JSON elsewhere."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings; every one has a default."""

    server: ServerSettings = ServerSettings()
    log: LogSettings = LogSettings()
    limits: RequestLimits = RequestLimits()
    default_model: str = "local/default"
    """Model of calls that name none."""
    aliases: dict[str, str] = msgspec.field(default_factory=dict)
    """Other names of models: alias to `provider/model`."""
    local: LocalOptions = LocalOptions()
    """Models embedded in the process."""
    providers: dict[str, ProviderOptions] = msgspec.field(default_factory=dict)
    """Providers reached over a network, by the name callers write before the slash. One whose usual environment
    variable holds a key or an address needs no entry."""
    transport: TransportOptions = TransportOptions()
    """How connections to providers are made."""
    source: str = ""
    """Where the settings were read, for the start-up summary; not a setting."""


class SettingsError(Exception):
    """The settings cannot be used.

    Args:
        problems: What is wrong, one sentence each, with the key's path.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


def load_settings(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings.

    Args:
        path: YAML file; else the one named by `RERANKD_CONFIG`, else none.
        overrides: Dotted paths to values, such as `{"server.http_port": 8081}`; strongest.

    Raises:
        SettingsError: With every problem found.
    """
    path = path or _configured_path()
    data = _read_file(path) if path else {}
    for key, value in (_environment() | dict(overrides or {})).items():
        _set(data, key, value)
    problems = _unknown_keys(data, Settings, "")
    data = _expand(data, "", problems)
    if problems:
        raise SettingsError(problems)
    data["source"] = str(path) if path else "defaults"
    try:
        settings = msgspec.convert(data, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError([_readable(str(error))]) from None
    problems = _out_of_range(settings)
    if problems:
        raise SettingsError(problems)
    return settings


def _configured_path() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named else None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror or error}"]) from None
    except UnicodeDecodeError:
        raise SettingsError([f"{path}: is not UTF-8 text"]) from None
    except yaml.YAMLError as error:
        raise SettingsError([f"{path}: is not valid YAML: {' '.join(str(error).split())}"]) from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SettingsError([f"{path}: must hold a mapping of settings, holds a {type(data).__name__}"])
    return data


def _environment() -> dict[str, Any]:
    """Settings from variables such as `RERANKD_SERVER__HTTP_PORT`, by dotted path."""
    found = {}
    for name, text in os.environ.items():
        if name.startswith(ENVIRONMENT_PREFIX) and name not in CLIENT_VARIABLES:
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            found[key] = yaml.safe_load(text)
    return found


def _set(data: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        child = data.setdefault(parent, {})
        if not isinstance(child, dict):
            raise SettingsError([f"{parent} must be a mapping to set {dotted}"])
        data = child
    data[last] = value


def _expand(value: Any, path: str, problems: list[str]) -> Any:
    """Put the environment's values in place of `${NAME}`; note the names that are not set."""
    if isinstance(value, dict):
        return {key: _expand(item, f"{path}.{key}" if path else str(key), problems) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, f"{path}[{index}]", problems) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def fill(reference: re.Match[str]) -> str:
        found = os.environ.get(reference[1])
        if found is None:
            problems.append(f"{path}: environment variable {reference[1]} is not set")
        return found or ""

    return _REFERENCE.sub(fill, value)


def _unknown_keys(data: Mapping[Any, Any], struct: type[msgspec.Struct], path: str) -> list[str]:
    problems = []
    fields = {field.name: field.type for field in msgspec.structs.fields(struct)}
    known = [name for name in fields if name != "source" or path]
    for key, value in data.items():
        if key not in known:
            problems.append(f"{path}{key} is not a setting{did_you_mean(str(key), known, path)}")
        elif isinstance(value, dict) and isinstance(fields[key], type) and issubclass(fields[key], msgspec.Struct):
            problems += _unknown_keys(value, fields[key], f"{path}{key}.")
    return problems


def _readable(message: str) -> str:
    """Turn msgspec's "Expected `int`, got `str` - at `$.server.http_port`" into our form."""
    what, _, where = message.partition(" - at `$.")
    return f"{where.rstrip('`')}: {what[0].lower()}{what[1:]}" if where else what


def _out_of_range(settings: Settings) -> list[str]:
    problems = [
        f"server.{name} must be 0 to 65535, is {port}"
        for name in ("grpc_port", "http_port")
        if not 0 <= (port := getattr(settings.server, name)) <= 65535
    ]
    if settings.server.grpc_port == settings.server.http_port != 0:
        problems.append(f"server.grpc_port and server.http_port are both {settings.server.grpc_port}")
    if settings.server.workers < 1:
        problems.append(f"server.workers must be at least 1, is {settings.server.workers}")
    problems += [
        f"limits.{field.name} must be at least 1, is {value}"
        for field in msgspec.structs.fields(RequestLimits)
        if (value := getattr(settings.limits, field.name)) < 1
    ]
    problems += [
        f"server.{name} must not be negative, is {value}"
        for name in ("drain_delay_s", "drain_grace_s")
        if (value := getattr(settings.server, name)) < 0
    ]
    return problems
