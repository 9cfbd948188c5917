"""Server settings. Precedence, lowest first: defaults, YAML file, environment variables, command-line flags.

`RERANKD_SERVER__HTTP_PORT=8081` sets `server.http_port`; values are YAML or JSON. Unknown keys are errors that suggest
the closest known key. `${NAME}`, `${NAME:-default}` and `${file:PATH}` in a value are replaced by an environment
variable or the content of a file.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import yaml

from rerankd.access.settings import AccessSettings
from rerankd.cache.settings import CacheSettings
from rerankd.configuration.changes import changed_paths, is_within, keep
from rerankd.configuration.references import References, UntypedText, referenced_files
from rerankd.configuration.shape import check, usable
from rerankd.engine.blank_documents import BlankDocuments
from rerankd.engine.limits import RequestLimits
from rerankd.engine.routing.settings import ModelSettings
from rerankd.evaluation.settings import EvaluationSettings
from rerankd.http.listener_tls import ListenerTls
from rerankd.http.settings import ListenerSettings, http_problems
from rerankd.http.transport_settings import TransportSettings
from rerankd.local.settings import LocalSettings
from rerankd.providers.settings import ProviderSettings
from rerankd.registry.settings import RegistrySettings
from rerankd.runs.settings import RunSettings
from rerankd.store.settings import StoreSettings
from rerankd.strategies.settings import AnyReranker, reranker_problems
from rerankd.telemetry.settings import LogSettings, TelemetrySettings

ENVIRONMENT_PREFIX = "RERANKD_"
CONFIG_VARIABLE = "RERANKD_CONFIG"
CLIENT_VARIABLES = frozenset({CONFIG_VARIABLE, "RERANKD_ADDRESS", "RERANKD_API_KEY", "RERANKD_URL"})
"""Variables with the prefix `RERANKD_` that do not set server settings."""
NOT_SETTINGS: Final = frozenset({"source"})
"""Fields of `Settings` that are not accepted as input."""
FIXED: Final = (
    "server",
    "local",
    "cache",
    "store",
    "runs",
    "evaluation",
    "registry.poll_s",
    "access.enabled",
    "access.revoked_within_s",
    "access.stale_for_s",
    "access.ledger",
    "access.sessions",
    "access.spend",
    "telemetry",
    "limits.max_request_bytes",
    "limits.max_values",
    "limits.max_bytes_in_flight",
)
"""Paths of settings that only a restart applies: they define sockets, processes and loaded models."""


class Keepalive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """HTTP/2 keepalive: detects dead clients and keeps idle connections open through proxies."""

    time_s: float = 60.0
    """Seconds without traffic before the server sends a ping."""
    timeout_s: float = 20.0
    """Seconds to wait for the ping's acknowledgement before closing the connection."""
    min_client_interval_s: float = 10.0
    """Minimum seconds between a client's pings; faster clients are disconnected with ENHANCE_YOUR_CALM."""


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Listeners, worker processes and shutdown."""

    host: str = "localhost"
    """Address or name of both listeners; `localhost` is 127.0.0.1 and ::1. Other than loopback addresses need
    `access.enabled` or `allow_unauthenticated`."""
    allow_unauthenticated: bool = False
    """Whether to listen on addresses that other machines reach although callers need no key (`access.enabled` is
    false): anybody who reaches them may call, at the cost of the configured providers' keys."""
    grpc_port: int = 50051
    """Port of the gRPC listener; 0 picks a free one."""
    http_port: int = 8080
    """Port of the HTTP listener; 0 picks a free one."""
    workers: int = 1
    """Worker processes that share both ports."""
    drain_delay_s: float | None = None
    """Seconds between reporting NOT_SERVING and closing the listeners, so that load balancers stop routing. `null`: 10
    where there are signs of one (`KUBERNETES_SERVICE_HOST` is set; a call carried `X-Forwarded-For` or `Forwarded`;
    another machine checked the health), else 0."""
    drain_grace_s: float = 30.0
    """Seconds that in-flight calls may take to finish after the listeners are closed."""
    keepalive: Keepalive = Keepalive()
    """HTTP/2 keepalive of the gRPC listener."""
    http: ListenerSettings = ListenerSettings()
    """Compression and CORS of the HTTP listener."""
    tls: ListenerTls = ListenerTls()
    """Certificates of both listeners; default: plain HTTP and gRPC."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings. Every field has a default."""

    server: ServerSettings = ServerSettings()
    """Listeners, worker processes and shutdown; a change needs a restart."""
    log: LogSettings = LogSettings()
    """Logging."""
    telemetry: TelemetrySettings = TelemetrySettings()
    """Traces and metrics; a change needs a restart."""
    limits: RequestLimits = RequestLimits()
    """Size limits of one call and limits on concurrent calls."""
    blank_documents: BlankDocuments | None = None
    """What happens to blank documents: `reject` refuses the call, `rank_last` ranks them after all others with a
    warning and never sends them to a provider. Unset: `reject` for the contract (gRPC, `/rerankd`, batches, the Python
    functions), `rank_last` for the routes of other services' SDKs, `/v1/rerank` and `/v2/rerank` included."""
    default_model: str = "local/default"
    """Model of calls that do not name one."""
    aliases: dict[str, str] = msgspec.field(default_factory=dict)
    """Model aliases: alias to `provider/model`."""
    local: LocalSettings = LocalSettings()
    """Models that run in the server's process; a change needs a restart."""
    providers: dict[str, ProviderSettings] = msgspec.field(default_factory=dict)
    """Remote providers, by the name that callers write before the slash. A provider whose usual environment variable
    holds a key or an address needs no entry."""
    transport: TransportSettings = TransportSettings()
    """HTTP client for connections to providers."""
    models: dict[str, ModelSettings] = msgspec.field(default_factory=dict)
    """Models by public name: deployments, load balancing, retries, fallbacks. A `*` in a name matches any text."""
    rerankers: dict[str, AnyReranker] = msgspec.field(default_factory=dict)
    """Rerankers: named configurations of a strategy over other models, by the name that callers send as `model`."""
    registry: RegistrySettings = RegistrySettings()
    """Rerankers of the store, which are created and changed while the service runs."""
    access: AccessSettings = AccessSettings()
    """Who may call, and how much."""
    store: StoreSettings = StoreSettings()
    """Database of API keys, stored rerankers, runs and spend; a change needs a restart."""
    runs: RunSettings = RunSettings()
    """Which calls are logged; a change needs a restart."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """How long experiments and judgements are kept; a change needs a restart."""
    cache: CacheSettings = CacheSettings()
    """Pair-score cache; a change needs a restart."""
    source: str = ""
    """File the settings were read from, for the start-up summary; not a setting."""


class SettingsError(Exception):
    """Invalid settings.

    Args:
        problems: All problems found, one sentence each, starting with the key path.
        usable_settings: What is left of the settings without them.
        unusable_rerankers: Keys of rerankers of which nothing is left.
    """

    def __init__(
        self,
        problems: Sequence[str],
        usable_settings: Settings | None = None,
        unusable_rerankers: Collection[str] = (),
    ) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)
        self.usable_settings = usable_settings
        """The settings without their invalid parts, for further checks; `None` if they could not be read."""
        self.unusable_rerankers = unusable_rerankers
        """Names that other settings may use and `usable_settings` lacks."""


@dataclass(frozen=True, slots=True)
class SettingsOrigin:
    """Source of settings: a file and overrides. Can be read repeatedly, as a reload does."""

    path: Path | None = None
    """YAML file; default: the one that `RERANKD_CONFIG` names, if any."""
    overrides: Mapping[str, object] = field(default_factory=dict)
    """Values by dotted path, such as `{"server.http_port": 8081}`; highest precedence."""

    def read(self) -> Settings:
        """Read the settings.

        Raises:
            SettingsError: With every problem found.
        """
        return load_settings(self.path, self.overrides)

    def files(self) -> list[Path]:
        """List the settings file and every file that `${file:PATH}` references in it."""
        path = self.path or _configured_path()
        if path is None:
            return []
        try:
            return [path, *referenced_files(path.read_text(encoding="utf-8"), path.parent)]
        except (OSError, UnicodeDecodeError):
            return [path]


def load_settings(path: Path | None = None, overrides: Mapping[str, object] | None = None) -> Settings:
    """Read the settings.

    Args:
        path: YAML file; default: the one that `RERANKD_CONFIG` names, if any.
        overrides: Values by dotted path, such as `{"server.http_port": 8081}`; highest precedence.

    Raises:
        SettingsError: With every problem found.
    """
    path = path or _configured_path()
    data = _read_file(path) if path else {}
    for key, value in (_environment() | dict(overrides or {})).items():
        _set(data, key, value)
    references = References(os.environ, path.parent if path else Path())
    data = references.fill(data)
    problems = references.problems
    problems += [f"{key} is not a setting" for key in NOT_SETTINGS if data.pop(key, None) is not None]
    data = check(data, Settings, "", problems)
    rerankers = data.get("rerankers")
    if problems:
        data = usable(data, Settings)
    settings = msgspec.convert({**data, "source": str(path) if path else "defaults"}, Settings)
    problems += _out_of_range(settings)
    if problems:
        names = rerankers if isinstance(rerankers, dict) else {}
        raise SettingsError(problems, settings, [name for name in names if name not in settings.rerankers])
    return settings


@dataclass(frozen=True, slots=True)
class Update:
    """Difference between the running settings and new ones."""

    settings: Settings
    """The new settings, with restart-only settings kept as they are."""
    changed: list[str]
    """Paths of changed settings that apply immediately."""
    needs_restart: list[str]
    """Paths of changed settings that need a restart."""


def update(running: Settings, new: Settings) -> Update:
    """Compare new settings with the running ones."""
    paths = [path for path in changed_paths(running, new) if path not in NOT_SETTINGS]
    return Update(
        settings=keep(new, running, FIXED),
        changed=[path for path in paths if not is_within(path, FIXED)],
        needs_restart=[path for path in paths if is_within(path, FIXED)],
    )


def _configured_path() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named else None


def _read_file(path: Path) -> dict[str, object]:
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


def _environment() -> dict[str, object]:
    """Return settings from variables such as `RERANKD_SERVER__HTTP_PORT`, by dotted path."""
    found: dict[str, object] = {}
    for name, text in os.environ.items():
        if name.startswith(ENVIRONMENT_PREFIX) and name not in CLIENT_VARIABLES:
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            try:
                value = yaml.safe_load(text)
            except yaml.YAMLError:
                raise SettingsError([f"{key}: variable {name} is neither YAML nor JSON"]) from None
            found[key] = value if isinstance(value, dict | list) else UntypedText(text, value)
    return found


def _set(data: dict[str, object], dotted: str, value: object) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        child = data.setdefault(parent, {})
        if not isinstance(child, dict):
            raise SettingsError([f"{parent} must be a mapping to set {dotted}"])
        data = child
    data[last] = value


def _out_of_range(settings: Settings) -> list[str]:
    problems = [
        f"server.{name} must be 0 to 65535, is {port}"
        for name in ("grpc_port", "http_port")
        if not 0 <= (port := getattr(settings.server, name)) <= 65535
    ]
    if settings.server.grpc_port == settings.server.http_port != 0:
        problems.append(f"server.grpc_port and server.http_port are both {settings.server.grpc_port}")
    if not settings.server.host.strip():
        problems.append("server.host must not be empty; localhost, 0.0.0.0 and :: are usual")
    if settings.server.workers < 1:
        problems.append(f"server.workers must be at least 1, is {settings.server.workers}")
    problems += settings.limits.problems("limits")
    problems += settings.evaluation.problems()
    problems += http_problems(settings.server.http, "server.http")
    problems += settings.server.tls.problems("server.tls")
    problems += [
        f"server.{name} must not be negative, is {value}"
        for name in ("drain_delay_s", "drain_grace_s")
        if (value := getattr(settings.server, name)) is not None and value < 0
    ]
    if not 0 <= settings.log.sample <= 1:
        problems.append(f"log.sample must be 0 to 1, is {settings.log.sample}")
    problems += settings.telemetry.problems()
    problems += settings.cache.problems()
    problems += settings.access.problems()
    if settings.access.certificates and not settings.server.tls.client_ca_file:
        problems.append("access.certificates has no effect without server.tls.client_ca_file; set it")
    problems += settings.store.problems()
    problems += settings.runs.problems()
    problems += settings.registry.problems()
    for name, options in settings.models.items():
        problems += options.problems(f"models.{name}")
    problems += reranker_problems(settings.rerankers)
    return problems
