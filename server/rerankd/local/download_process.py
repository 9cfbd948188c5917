"""The process that downloads a model: `python -m rerankd.local.download_process REPOSITORY REVISION PATTERN...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Download, and print the directory; on failure print the error's type and return 1."""
    from huggingface_hub import snapshot_download

    repository, revision, *patterns = arguments
    try:
        print(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the parent process reads its type
        print(type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
