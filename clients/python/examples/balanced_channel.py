"""Call several replicas in turn, over one channel that leaves out those that are not serving.

`RERANKD_ADDRESS` names them: `dns:///rerankd:50051`, or `ipv4:10.0.0.1:50051,10.0.0.2:50051`.
"""

from rerankd_client import RerankClient

with RerankClient() as client:
    answered = 0
    for _ in range(20):
        response = client.rerank("who wrote Dune", ["A desert planet.", "Frank Herbert."], model="local/bm25")
        answered += len(response.results) == 2
    print(f"{answered} of 20 calls answered")
    print(f"rerank.v1.RerankService is {client.health('rerank.v1.RerankService')}")
