"""Make three calls that fail, and read the details of their errors."""

from rerankd_client import DeadlineExceeded, InvalidRequest, NotFound, RerankClient

with RerankClient() as client:
    try:
        client.rerank("who wrote Dune", [], top_n=0)
    except InvalidRequest as error:
        print(f"{error.code.name} {error.reason}: {', '.join(each.field for each in error.fields)}")
    try:
        client.get_model("local/bm52")
    except NotFound as error:
        print(f"{error.code.name} {error.reason}: did you mean {error.metadata['suggestion']}?")
    try:
        client.rerank("who wrote Dune", ["Frank Herbert."], timeout_s=1e-6)
    except DeadlineExceeded as error:
        print(f"{error.code.name} {error.reason}")
