"""Connections to Redis and their health. The only module that imports the Redis library."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, cast
from urllib.parse import urlsplit

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

CONNECTIONS = 4
_CONNECT_TIMEOUT_S = 1.0
_FIRST_PAUSE_S = 1.0
_TIMEOUTS_UNTIL_LOST = 3
"""Consecutive timeouts that mark Redis as down: a single one may be a pause of our own event loop."""

_log = structlog.get_logger("rerankd.cache")


class RedisLink:
    """A pool of connections to one Redis with a health check. For one event loop.

    While Redis is down, no call uses it: one task probes it, with exponential backoff from 1 s. Only that task opens
    connections, so that no call waits for a handshake.

    Commands of any number of tasks share `CONNECTIONS` connections and wait their turn for one; callers limit the time
    of a command, and report its failure by `failed` or `write_failed`.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        timeout_s: Seconds within which Redis must answer a probe, once it is connected.
        sleep: Waits so many seconds between probes.
        longest_pause_s: Longest wait between probes in seconds, at least 1.

    Raises:
        ValueError: The URL has another form.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        longest_pause_s: float = 30.0,
    ) -> None:
        self._client = _client_of(url)
        self._address = printable_address(url)
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._longest_pause_s = longest_pause_s
        self._scripts: dict[str, AsyncScript] = {}
        self._free_connections = asyncio.Semaphore(CONNECTIONS)
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._timeouts = 0
        self._last_timeout_s = 0.0
        self._takes_writes = True
        self.is_up = False
        """Whether calls should use it now."""
        self.errors = 0
        """Failures and timeouts so far."""
        self.answered_s = 0.0
        """When Redis answered last, a `time.monotonic()`."""

    async def start(self) -> None:
        """Connect within some 1 s; on failure keep trying in the background, and raise nothing. Call once."""
        problem = await self._probe()
        if problem is None:
            self._up()
        else:
            self.errors += 1
            self._down(problem)
        self._keeper = asyncio.create_task(self._keep(), name="redis-link")

    async def close(self) -> None:
        """Stop probing and close the connections, within 1 s. Commands under way fail."""
        self.is_up = False
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        with suppress(Exception):  # nothing depends on a connection that is given up
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._client.aclose()

    async def mget(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Read values.

        Args:
            keys: n keys, n >= 1.

        Returns:
            n values in the order of the keys; `None` where a key is absent.

        Raises:
            redis.exceptions.RedisError: Redis cannot be reached, or refuses the command.
            OSError: Likewise.
        """
        async with self._free_connections:
            values = cast("list[bytes | None]", await self._client.mget(keys))
        self._answered()
        return values

    async def evaluate(self, script: str, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Any:
        """Run a Lua script that writes; Redis gets its source once, then its hash.

        Args:
            script: Its source, a constant: it is remembered.
            keys: n values of `KEYS`, n >= 0.
            arguments: Values of `ARGV`.

        Returns:
            The script's answer: bytes, an int, a list of these, or `None`.

        Raises:
            redis.exceptions.RedisError: Redis cannot be reached, or refuses the script.
            OSError: Likewise.
        """
        known = self._scripts.get(script)
        if known is None:
            known = self._scripts[script] = self._client.register_script(script)
        async with self._free_connections:
            answer = await known(keys, arguments)
        self._takes_writes = True
        self._answered()
        return answer

    def _answered(self) -> None:
        self.answered_s = time.monotonic()
        self._timeouts = 0
        self._pause_s = _FIRST_PAUSE_S

    def write_failed(self, error: Exception, began_s: float) -> None:
        """Record the failure of a write sent at `began_s`, a `time.monotonic()`.

        One that Redis refuses, such as for want of memory, leaves Redis in use for reads; any other counts as in
        `failed`.
        """
        if not isinstance(error, ResponseError) or isinstance(error, AuthenticationError):
            self.failed(error, began_s)
            return
        self.errors += 1
        if self._takes_writes:
            self._takes_writes = False
            _log.warning("redis_refuses_writes", address=self._address, problem=_problem_of(error))

    def failed(self, error: Exception, began_s: float) -> None:
        """Record the failure of a command sent at `began_s`, a `time.monotonic()`.

        An error marks Redis as down at once, the third consecutive timeout does; one that began before the last one
        was counted is the same pause, and is not counted again.
        """
        self.errors += 1
        if isinstance(error, TimeoutError):
            if began_s < self._last_timeout_s:
                return
            self._last_timeout_s = time.monotonic()
            self._timeouts += 1
            if self._timeouts < _TIMEOUTS_UNTIL_LOST:
                return
        if self.is_up:
            self._down(_problem_of(error))

    def _up(self) -> None:
        self.is_up = True
        self._timeouts = 0
        self._lost.clear()
        _log.info("redis_in_use", address=self._address)

    def _down(self, problem: str) -> None:
        self.is_up = False
        self._lost.set()
        _log.warning("redis_not_used", address=self._address, problem=problem, next_try_s=self._pause_s)

    async def _keep(self) -> None:
        while True:
            await self._lost.wait()
            await self._sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, self._longest_pause_s)
            if await self._probe() is None:
                self._up()

    async def _probe(self) -> str | None:
        """Reconnect and ping; return the problem, None when there is none."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._client.connection_pool.disconnect(inuse_connections=False)
                await asyncio.gather(*(self._ping() for _ in range(CONNECTIONS)))
            async with asyncio.timeout(self._timeout_s):
                await self._ping()
        except Exception as error:  # whatever it is, a cache that is away is no reason to fail
            return _problem_of(error)
        return None

    async def _ping(self) -> None:
        async with self._free_connections:
            await cast("Awaitable[Any]", self._client.ping())


def printable_address(url: str) -> str:
    """Return the URL without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _client_of(url: str) -> Redis:
    return Redis.from_url(
        url,
        max_connections=2 * CONNECTIONS,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        socket_timeout=None,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )


def _problem_of(error: Exception) -> str:
    """Describe a failure without keys, values or passwords."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, AuthenticationError):
        return "it refuses the user or password of redis_url"
    if isinstance(error, ResponseError):
        return f"it refuses the command: {str(error).partition(' ')[0]}"
    if isinstance(error, OSError | RedisConnectionError | RedisTimeoutError):
        return "it cannot be reached"
    return f"unexpected {type(error).__name__}"
