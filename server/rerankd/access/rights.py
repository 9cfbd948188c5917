"""What callers need the scopes for: every rpc, and every page beside them. The one table of it.

A service is asked only for callers with a scope of its row, whichever transport, route or dialect a call comes by. An
rpc without a row is refused to everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rerankd.access.scopes import Scope

SCOPES_OF_RPC: Final[Mapping[str, tuple[Scope, ...]]] = {
    "RerankService.Rerank": (Scope.RERANK,),
    "RerankService.BatchRerank": (Scope.RERANK,),
    "RerankService.WarmDocuments": (Scope.RERANK,),
    "RerankService.ListModels": (Scope.MODELS,),
    "RerankService.GetModel": (Scope.MODELS, Scope.RERANK),
    "AccessService.CreateKey": (Scope.ADMIN,),
    "AccessService.ListKeys": (Scope.ADMIN,),
    "AccessService.GetKey": (Scope.ADMIN,),
    "AccessService.RotateKey": (Scope.ADMIN,),
    "AccessService.RevokeKey": (Scope.ADMIN,),
    "AccessService.ImportKeys": (Scope.ADMIN,),
    "AccessService.ListSpend": (Scope.ADMIN,),
    "EvaluationService.SendFeedback": (Scope.RERANK,),
    "EvaluationService.SetJudgements": (Scope.RERANKERS_WRITE, Scope.ADMIN),
    "EvaluationService.ListJudgements": (Scope.RUNS_READ,),
    "EvaluationService.DeleteJudgement": (Scope.RERANKERS_WRITE, Scope.ADMIN),
    "EvaluationService.ReplayRun": (Scope.RERANKERS_WRITE, Scope.ADMIN),
    "EvaluationService.CreateExperiment": (Scope.RERANKERS_WRITE, Scope.ADMIN),
    "EvaluationService.ListExperiments": (Scope.RUNS_READ,),
    "EvaluationService.GetExperiment": (Scope.RUNS_READ,),
    "EvaluationService.ListExperimentQueries": (Scope.RUNS_READ,),
    "EvaluationService.CancelExperiment": (Scope.RERANKERS_WRITE, Scope.ADMIN),
    "EvaluationService.ResumeExperiment": (Scope.RERANKERS_WRITE, Scope.ADMIN),
    "EvaluationService.DeleteExperiment": (Scope.RERANKERS_WRITE, Scope.ADMIN),
    "RerankerService.CreateReranker": (Scope.RERANKERS_WRITE,),
    "RerankerService.GetReranker": (Scope.RERANKERS_READ,),
    "RerankerService.ListRerankers": (Scope.RERANKERS_READ,),
    "RerankerService.UpdateReranker": (Scope.RERANKERS_WRITE,),
    "RerankerService.DeleteReranker": (Scope.RERANKERS_WRITE,),
    "RerankerService.RunReranker": (Scope.RERANK,),
    "RerankerService.ListRerankerVersions": (Scope.RERANKERS_READ,),
    "RerankerService.DiffRerankerVersions": (Scope.RERANKERS_READ,),
    "RerankerService.RollbackReranker": (Scope.RERANKERS_WRITE,),
    "RerankerService.ListRuns": (Scope.RUNS_READ,),
    "RerankerService.GetRun": (Scope.RUNS_READ,),
}
"""Scopes of which a caller needs one, by service and rpc."""
SCOPES_OF_COMPATIBILITY: Final[Mapping[str, tuple[Scope, ...]]] = {
    "list_models": SCOPES_OF_RPC["RerankService.ListModels"],
    "get_model": SCOPES_OF_RPC["RerankService.GetModel"],
    "info": SCOPES_OF_RPC["RerankService.GetModel"],
    "check_api_key": (),
    "list_client_rerankers": SCOPES_OF_RPC["RerankerService.ListRerankers"],
    "get_client_reranker": SCOPES_OF_RPC["RerankerService.GetReranker"],
    "run_client_reranker": SCOPES_OF_RPC["RerankerService.RunReranker"],
}
"""The same by the routes that other services' clients call beside rerank (`gateway.dialects.compatibility_routes`,
`gateway.client_rerankers`, whose service checks the caller);
empty: a caller must be known, whatever it may do."""
SCOPES_OF_TEI: Final[Mapping[str, tuple[Scope, ...]]] = {
    "tei.v1.Rerank/Rerank": SCOPES_OF_RPC["RerankService.Rerank"],
    "tei.v1.Rerank/RerankStream": SCOPES_OF_RPC["RerankService.Rerank"],
    "tei.v1.Info/Info": SCOPES_OF_RPC["RerankService.GetModel"],
}
"""The same by the rpcs of TEI's services, which ask the rerank service and need what that needs."""
SCOPES_OF_METRICS: Final = (Scope.METRICS, Scope.ADMIN)
"""The same for `/metrics` where `access.metrics` is `key`."""
_PROBES: Final = "probes have no keys, and learn no more than whether the server serves"
_DOCUMENTS: Final = "the documentation of the interface, the same on every server of this version"
OPEN: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "/health",
            "/healthz",
            "/ready",
            "/ping",
            "/v1/health",
            "/v1/health/live",
            "/v1/health/ready",
            "/.well-known/ready",
            "grpc.health.v1.Health",
        ),
        _PROBES,
    ),
    **dict.fromkeys(
        (
            "/",
            "/docs",
            "/openapi.json",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        ),
        _DOCUMENTS,
    ),
    "/metrics": "unless `access.metrics` is `key`; scrapers have no keys; names models and counts, never callers",
    "/v1/cluster/auth": "Xinference's client asks it before it knows that it must send a key; says that it must",
}
"""What answers everybody, by path or gRPC service, with the reason."""
IDENTIFIED: Final[Mapping[tuple[str, str], str]] = {
    ("POST", "/api/session"): "opens a session for who shows a key or token in the body, within the bounds of lockout",
    ("GET", "/api/session"): "says to a caller, of a session or not, who it is",
    ("DELETE", "/api/session"): "ends the caller's own session",
    ("GET", "/api/session/oidc/{issuer}"): "sends a browser to the page of an issuer of the settings, to log in there",
    ("GET", "/api/session/oidc/{issuer}/callback"): "opens a session for who comes back from there, likewise",
}
"""What answers whoever is known, whatever it may do, by HTTP method and path."""
