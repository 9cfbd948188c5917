"""A program in some language that obeys commands with that language's client: one JSON line in, one out."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Reply = dict[str, Any]
_TIMEOUT_S = 60.0


class ClientProgram:
    """Starts the program; `fault_script` has the commands.

    Args:
        command: What starts it.
        folder: Where it runs.
        environment: Its variables, beside PATH and HOME.
    """

    def __init__(
        self, command: Sequence[str], *, folder: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={**kept, "NO_PROXY": "127.0.0.1,localhost", **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._replies: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask(self, do: str, **arguments: Any) -> Reply:
        """Send a command and wait for its reply."""
        self.send(do, **arguments)
        return self.receive()

    def send(self, do: str, **arguments: Any) -> None:
        """Send a command; its reply is to be received later."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Reply:
        """Wait for the next reply."""
        try:
            line = self._replies.get(timeout=_TIMEOUT_S)
        except queue.Empty:
            raise AssertionError("the program does not answer") from None
        assert line, f"the program ended with code {self._process.wait(10)}"
        reply: Reply = json.loads(line)
        return reply

    def close(self) -> int:
        """End the program by the end of its input; return its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            return self._process.wait(15)
        finally:
            self._process.kill()
            self._reader.join(5)
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._replies.put(line)
        self._replies.put("")
