"""Options of gRPC channels whose certificates follow their files."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from rerankd.http.tls import file_states, open_client_context, system_certificates
from rerankd.http.transport_settings import TlsSettings, TransportSettings
from rerankd_adapters.grpc_upstream.channel import ChannelSettings

_CHECK_S: Final = 1.0
"""Least time between two looks at the files."""

_log = structlog.get_logger("rerankd.providers")


class FollowedChannelSettings:
    """Returns the options of one provider's channel; another object once its certificate files have changed.

    Files that cannot be used, as while they are being written, are logged once, and what was read before stays in use.

    Args:
        settings: Certificates, size limit and proxy of all providers.
        own: TLS settings of this provider; default: those of `settings`.
        clock: Monotonic, in seconds.

    Raises:
        OSError: For a file that cannot be read or holds something else, or a key with a passphrase; names the file.
    """

    def __init__(
        self, settings: TransportSettings, own: TlsSettings | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._transport = settings
        self._tls = settings.tls(own)
        self._clock = clock
        names = (self._tls.ca_file, self._tls.client_certificate_file, self._tls.client_key_file)
        self._files = [Path(name).expanduser() for name in names if name]
        self._seen = file_states(self._files)
        self._checked_s = clock()
        self._current = _read(self._transport, self._tls)

    def __call__(self) -> ChannelSettings:
        """Return the options as they are now."""
        if self._files and (now_s := self._clock()) - self._checked_s >= _CHECK_S:
            self._checked_s = now_s
            if (found := file_states(self._files)) != self._seen:
                self._seen = found
                self._take_up()
        return self._current

    def _take_up(self) -> None:
        try:
            self._current = _read(self._transport, self._tls)
        except OSError as error:
            _log.warning("changed TLS file not taken up", file=error.filename, problem=error.strerror)
        else:
            _log.info("changed TLS files taken up", files=[str(file) for file in self._files])


def _read(settings: TransportSettings, tls: TlsSettings) -> ChannelSettings:
    """Read the files; gRPC trusts its own list of authorities, or those it is given and no others."""
    open_client_context(tls)  # gRPC accepts bytes of any kind, and says nothing of them but that no call succeeds
    authorities = _bytes_of(tls.ca_file)
    chain = _bytes_of(tls.client_certificate_file)
    return ChannelSettings(
        root_certificates=None if authorities is None else authorities + b"\n" + system_certificates(),
        certificate_chain=chain,
        private_key=_bytes_of(tls.client_key_file) or chain,
        server_name=tls.server_name or "",
        max_message_bytes=settings.max_response_bytes,
        uses_environment_proxy=settings.uses_environment_proxy,
    )


def _bytes_of(file: str | None) -> bytes | None:
    return Path(file).expanduser().read_bytes() if file else None
