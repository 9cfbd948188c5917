"""List the embedded models, then look at one of them."""

from rerankd_client import RerankClient

with RerankClient() as client:
    for model in client.list_models("local"):
        print(f"{model.name} {model.scoring}")
    model = client.get_model("local/bm25")
    print(f"scores of {model.name} are {model.score_space}")
