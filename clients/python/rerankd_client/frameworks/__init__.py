"""Rerankers of LangChain, LlamaIndex and Haystack over gRPC, a module each; every module needs its framework installed.

All take the address and options of a client, the model and options of a rerank call, and make asynchronous calls where
the framework does. Scores and order are the server's; documents, with their ids and metadata, are the caller's own.
"""
