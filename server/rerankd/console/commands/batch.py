"""Options and help of `rerankd batch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from rerankd.console.commands.flags import Address, ApiKey, CaFile, Tls

_COLUMNS: Final = "Columns"

_InputFile = Annotated[
    Path, typer.Option("--input", "-i", metavar="FILE", help="Requests, one a row; - reads standard input.")
]
_OutputFile = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="Outcomes, one a row; - is standard output.")
]
_Model = Annotated[str | None, typer.Option("--model", "-m", metavar="MODEL", help="Model of rows that name none.")]
_TopN = Annotated[int | None, typer.Option("--top-n", "-n", min=1, metavar="N", help="How many results a row gets.")]
_ReturnDocuments = Annotated[bool, typer.Option("--return-documents", help="Write each document with its result.")]
_Fallbacks = Annotated[
    list[str] | None, typer.Option(metavar="MODEL", help="Try this when the model fails; may repeat.")
]
_Concurrency = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Items under way at once; the server has its ceiling.")
]
_Resume = Annotated[
    bool, typer.Option("--resume/--no-resume", help="Go on with an earlier run, or replace its output.")
]
_RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Run failed items of earlier runs again.")]
_Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first row that is no request.")]
_MaxFailures = Annotated[int | None, typer.Option(min=0, metavar="N", help="Stop after more failures than this.")]
_RetryForS = Annotated[
    float, typer.Option("--retry-for", min=0, metavar="SECONDS", help="Wait so long for a server that went away.")
]
_InProcess = Annotated[
    bool, typer.Option("--in-process", help="Rerank here, without a server; RERANKD_CONFIG has the settings.")
]
_QueryColumn = Annotated[str, typer.Option(metavar="NAME", rich_help_panel=_COLUMNS, help="The query.")]
_DocumentsColumn = Annotated[str, typer.Option(metavar="NAME", rich_help_panel=_COLUMNS, help="The list of documents.")]
_IdColumn = Annotated[
    str | None,
    typer.Option(metavar="NAME", rich_help_panel=_COLUMNS, help="The row's name. [dim]Default: item_id or id[/dim]"),
]
_TextField = Annotated[
    str | None,
    typer.Option(metavar="NAME", rich_help_panel=_COLUMNS, help="The text, where documents are objects."),
]
_IgnoreUnknown = Annotated[
    bool,
    typer.Option("--ignore-unknown", rich_help_panel=_COLUMNS, help="Leave fields aside that no request has."),
]
_JsonSummary = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


def batch(
    *,
    input_file: _InputFile,
    output_file: _OutputFile,
    model: _Model = None,
    top_n: _TopN = None,
    return_documents: _ReturnDocuments = False,
    fallback: _Fallbacks = None,
    concurrency: _Concurrency = None,
    resume: _Resume = True,
    retry_failed: _RetryFailed = False,
    strict: _Strict = False,
    max_failures: _MaxFailures = None,
    retry_for_s: _RetryForS = 60.0,
    in_process: _InProcess = False,
    query_column: _QueryColumn = "query",
    documents_column: _DocumentsColumn = "documents",
    id_column: _IdColumn = None,
    text_field: _TextField = None,
    ignore_unknown: _IgnoreUnknown = False,
    json: _JsonSummary = False,
    address: Address = None,
    api_key: ApiKey = None,
    tls: Tls = False,
    ca_file: CaFile = None,
) -> None:
    """Rerank a file of requests; go on where an earlier run ended.

    A row has a query and documents (strings or objects), and may have an id
    and any other field of a request. Files are JSON Lines, .gz and .zst of
    them, or .parquet. Outcomes come as they finish; item_index is the row's
    number, from 0. A row that fails has its error in the output.

    Exits with 1 when an item failed, with 130 when interrupted. Run the same
    command again to go on: finished items are not run twice.

      rerankd batch -i queries.jsonl -o ranked.jsonl --top-n 10
      rerankd batch -i queries.parquet -o ranked.parquet --id-column qid
      rerankd batch -i queries.jsonl -o ranked.jsonl --retry-failed
      zcat q.gz | rerankd batch -i - -o - --in-process -m local/bm25 > out
    """
    import math

    from rerankd.console.batch.plan import BatchPlan, Columns
    from rerankd.console.batch.run import run_batch
    from rerankd.console.calls import Target

    plan = BatchPlan(
        input=input_file,
        output=output_file,
        defaults={
            "model": model,
            "top_n": top_n,
            "return_documents": return_documents or None,
            "fallbacks": fallback or None,
        },
        columns=Columns(query_column, documents_column, id_column, text_field, ignore_unknown),
        concurrency=concurrency,
        is_resumed=resume,
        is_failed_retried=retry_failed,
        is_strict=strict,
        max_failures=max_failures,
        retry_for_s=retry_for_s,
    )
    target = Target(address, api_key, math.inf, tls, ca_file)
    raise typer.Exit(run_batch(target, plan, is_in_process=in_process, is_json=json))
