"""Runs `rerankd` under limits of address space and open files, so that a regression cannot take the machine down."""

from __future__ import annotations

import os
import resource

from rerankd.cli import main

ADDRESS_SPACE_BYTES = 6 * 2**30
"""An idle server maps 2 to 3 GB, most of it stacks and libraries; 6 GB leave room for the faults themselves."""
OPEN_FILES = "ABUSE_OPEN_FILES"
"""Variable with the limit of open files, where a drill wants one."""

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    if files := int(os.environ.get(OPEN_FILES, "0")):
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    main()
