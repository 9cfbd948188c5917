"""Rerank a string, a document with an id, and structured content; print the best two."""

from rerankd_client import Document, RerankClient

with RerankClient() as client:
    response = client.rerank(
        query="who wrote Dune",
        documents=[
            "A desert planet with two moons.",
            Document(id="herbert", text="Frank Herbert wrote Dune in 1965."),
            {"title": "Dune", "review": "A novel about a desert planet."},
        ],
        model="local/bm25",
        rank_fields=["title", "review"],
        top_n=2,
        return_documents=True,
    )
    for rank, result in enumerate(response.results, start=1):
        name = result.document.id if result.document and result.document.id else "-"
        print(f"{rank}. document {result.index} {name} {result.relevance_score:.3f}")
    print(f"{response.usage.documents} documents by {response.model}")
