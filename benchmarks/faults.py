"""Latency of a model with three deployments while one of them is broken, beside the same load before, in one run."""

from __future__ import annotations

import argparse
import asyncio
import logging

import structlog
from rich.console import Console
from rich.table import Table

from tests.support.faults import COLUMNS, FAULTS, measure


async def measure_all(faults: list[str], healthy_s: float, broken_s: float) -> None:
    table = Table(*COLUMNS)
    for fault in faults:
        table.add_row(*(await measure(fault, healthy_s=healthy_s, broken_s=broken_s)).row())
    Console(width=140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fault", choices=sorted(FAULTS), action="append", help="default: all")
    parser.add_argument("--healthy-s", type=float, default=3.0)
    parser.add_argument("--broken-s", type=float, default=10.0)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    asyncio.run(measure_all(arguments.fault or list(FAULTS), arguments.healthy_s, arguments.broken_s))


if __name__ == "__main__":
    main()
