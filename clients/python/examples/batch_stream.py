"""Rerank a stream of items; the one that is not valid fails alone."""

from rerankd_client import BatchItem, RerankClient

DOCUMENTS = ["Frank Herbert wrote Dune.", "A desert planet with two moons."]
QUERIES = {"author": "who wrote Dune", "blank": " ", "planet": "desert planet"}
ITEMS = (BatchItem(item_id=name, query=query, documents=DOCUMENTS) for name, query in QUERIES.items())

with (
    RerankClient() as client,
    client.batch_rerank(ITEMS, defaults={"model": "local/bm25"}, ordered=True, max_concurrency=2) as batch,
):
    for result in batch:
        if result.error is not None:
            print(f"{result.item_id}: {result.error.reason} {result.error.fields[0].field}")
        else:
            best = result.response_or_raise().results[0]
            print(f"{result.item_id}: document {best.index} is the best")
    if batch.summary is not None:
        print(f"{batch.summary.items_succeeded} answered, {batch.summary.items_failed} failed")
