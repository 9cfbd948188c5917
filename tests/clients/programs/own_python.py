"""Obeys the commands of `tests/clients/fault_script.py` with `rerankd_client`."""

import asyncio
import json
import sys
import time

from rerankd_client import AsyncRerankClient, RerankError

MAX_ERRORS = 5


def fields_of(error: RerankError) -> dict:
    return {
        "code": error.code.name,
        "reason": error.reason,
        "message": error.message,
        "metadata": dict(error.metadata),
        "fields": [[each.field, each.description] for each in error.fields],
        "quota": [[each.subject, each.description] for each in error.quota],
        "retry_after_s": error.retry_after_s,
        "request_id": error.request_id,
    }


async def rerank(client: AsyncRerankClient, command: dict) -> dict:
    options = {"model": command["model"], "timeout_s": command["timeout_s"]}
    try:
        response = await client.rerank(command["query"], command["documents"], **options)
    except RerankError as error:
        return {"error": fields_of(error)}
    return {"results": [[result.index, result.relevance_score] for result in response.results]}


async def load(client: AsyncRerankClient, command: dict) -> dict:
    end_s = time.monotonic() + command["seconds"]
    answered, errors = 0, []

    async def work() -> None:
        nonlocal answered
        while time.monotonic() < end_s:
            try:
                await client.rerank(command["query"], command["documents"], model=command["model"])
                answered += 1
            except RerankError as error:
                errors.append(fields_of(error))
            await asyncio.sleep(command["pause_ms"] / 1000)

    await asyncio.gather(*(work() for _ in range(command["workers"])))
    return {"answered": answered, "failed": len(errors), "errors": errors[:MAX_ERRORS]}


async def batch(client: AsyncRerankClient, command: dict) -> dict:
    reply = {"answered": [], "failed": {}, "read": 0, "received": None}

    def items():
        for number, query in enumerate(command["queries"]):
            reply["read"] += 1
            yield {"item_id": str(number), "query": query, "documents": command["documents"]}

    defaults = {"model": command["model"]}
    count = 0
    try:
        async with client.batch_rerank(
            items(), defaults=defaults, max_concurrency=command["max_concurrency"]
        ) as results:
            async for result in results:
                if result.error is None:
                    reply["answered"].append(result.item_id)
                else:
                    reply["failed"][result.item_id] = fields_of(result.error)
                count += 1
                if count == command["leave_after"]:
                    break
            if results.summary is not None:
                reply["received"] = results.summary.items_received
    except RerankError as error:
        reply["error"] = fields_of(error)
    return reply


async def main() -> None:
    client = AsyncRerankClient()
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        if command["do"] == "open":
            await client.close()
            client = AsyncRerankClient(
                command["target"],
                api_key=command["api_key"],
                ca_file=command["ca_file"] or None,
                timeout_s=command["timeout_s"],
            )
            reply = {}
        else:
            reply = await {"rerank": rerank, "load": load, "batch": batch}[command["do"]](client, command)
        print(json.dumps(reply), flush=True)
    await client.close()


asyncio.run(main())
