"""Entry point of the `rerankd` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

_CONSOLE_PACKAGES: Final = frozenset({"typer", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's) and return its exit code; `rerankd --help` lists them."""
    try:
        from rerankd.console.commands.program import run
    except ModuleNotFoundError as error:
        # The client alone is installed: there is a command, but nothing to run it with.
        if error.name not in _CONSOLE_PACKAGES:
            raise
        print("error: the command line is not installed", file=sys.stderr)
        print("hint: pip install 'rerankd[server,local]'", file=sys.stderr)
        return 1
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
