"""What the generator makes of a proto file beside that of the rerank service, with all that such a file may have."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from rerankd.contract import messages
from rerankd.contract.errors import ServiceError
from rerankd.contract.value_types import paths_of
from rerankd.gateway.json_names import decoder_of
from scripts import generate
from scripts.generator.contract import render_contract
from scripts.generator.convert import render_convert
from scripts.generator.openapi import render_openapi
from scripts.generator.openapi_examples import ANSWERS, REQUESTS
from scripts.generator.routes import render_routes
from scripts.generator.schema import ProtoFile, Schema, SchemaError, read_schema
from scripts.generator.services import render_protocols, render_servicers
from scripts.generator.stubs import read_descriptor_set

SAMPLE = """
syntax = "proto3";
package rerank.v1;
import "google/api/annotations.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "rerank/v1/json_options.proto";
import "rerank/v1/rerank_service.proto";
option (json_camel_case) = true;
// Samples.
service SampleService {
  // Changes a sample.
  rpc UpdateSample(UpdateSampleRequest) returns (Sample) {
    option (google.api.http) = {
      patch: "/api/sample/{key}"
      body: "*"
      additional_bindings { put: "/api/sample/{key}" body: "*" }
    };
  }
  // Lists samples.
  rpc ListSamples(ListSamplesRequest) returns (Sample) {
    option (google.api.http) = {get: "/api/sample"};
  }
  // Deletes a sample.
  rpc DeleteSample(ListSamplesRequest) returns (DeleteSampleResponse) {
    option (google.api.http) = {delete: "/api/sample"};
    option (http_status) = 204;
  }
}
// A sample.
message Sample {
  // When.
  google.protobuf.Timestamp created_at = 1;
  // Labels.
  map<string, string> free_labels = 2;
  // Runs.
  int64 total_runs = 3;
  // Settings.
  google.protobuf.Struct some_config = 4;
  // What was ranked.
  repeated RerankResult best_results = 5;
  // What was sent.
  repeated Document sent_documents = 6;
  // How it went.
  StageStatus stage_status = 7;
  // What it cost.
  Usage whole_usage = 8;
  // When it was called last.
  google.protobuf.Timestamp last_used_at = 9 [(json_null) = true];
}
// A change.
message UpdateSampleRequest {
  // Which.
  string key = 1;
  // What to change.
  google.protobuf.FieldMask update_mask = 2;
  // The sample.
  Sample new_sample = 3;
  // The documents.
  repeated Document documents = 4;
  // How many.
  optional int32 top_n = 5;
}
// A list.
message ListSamplesRequest {
  // From when.
  google.protobuf.Timestamp from_time = 1 [json_name = "from"];
  // How many.
  optional int32 page_size = 2;
}
// Nothing.
message DeleteSampleResponse {}
"""


def compile_protos(folder: Path, sample: str) -> bytes:
    shutil.copytree(generate.ROOT / "protos" / "google", folder / "protos" / "google", dirs_exist_ok=True)
    shutil.copytree(generate.ROOT / "protos" / "rerank", folder / "protos" / "rerank", dirs_exist_ok=True)
    (folder / "protos" / "rerank" / "v1" / "sample_service.proto").write_text(sample)
    return read_descriptor_set(folder)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compile_protos(tmp_path_factory.mktemp("protos"), SAMPLE)


@pytest.fixture(scope="module")
def schema(compiled: bytes) -> Schema:
    return read_schema(compiled)


@pytest.fixture(scope="module")
def sample_file(schema: Schema) -> ProtoFile:
    return next(file for file in schema.files() if file.prefix == "sample_")


def load(name: str, source: str) -> ModuleType:
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, name, "exec"), vars(module))
    return module


@pytest.fixture(scope="module")
def contract(schema: Schema, sample_file: ProtoFile) -> Iterator[Any]:
    name = "rerankd.contract.sample_messages"
    source = generate.format_module("server/rerankd/contract/sample_messages.py", render_contract(schema, sample_file))
    yield load(name, source)
    del sys.modules[name]


@pytest.fixture(scope="module")
def converters(schema: Schema, sample_file: ProtoFile, compiled: bytes, contract: Any) -> Iterator[Any]:
    files = descriptor_pb2.FileDescriptorSet.FromString(compiled).file
    pool = descriptor_pool.Default()
    pool.Add(next(file for file in files if file.name.endswith("sample_service.proto")))
    found = pool.FindFileByName("rerank/v1/sample_service.proto")
    stubs = {name: message_factory.GetMessageClass(kind) for name, kind in found.message_types_by_name.items()}
    package = sys.modules["rerank.v1"]
    package.sample_service_pb2 = SimpleNamespace(**stubs)  # type: ignore[attr-defined]  # given by name
    sys.modules["rerankd.contract"].sample_messages = contract  # type: ignore[attr-defined]  # made here
    name = "rerankd.rpc.sample_convert"
    source = generate.format_module("server/rerankd/rpc/sample_convert.py", render_convert(schema, sample_file))
    yield load(name, source)
    del sys.modules[name], package.sample_service_pb2, sys.modules["rerankd.contract"].sample_messages


def sample_of(contract: Any) -> Any:
    return contract.Sample(
        created_at=datetime(2026, 11, 29, 20, 0, 0, 123456, UTC),
        free_labels={"a": "b"},
        total_runs=2**40,
        some_config={"snake_name": 1, "camelName": [1.5]},
        best_results=[messages.RerankResult(index=1, relevance_score=0.5)],
        sent_documents=["a", messages.Document(text="b", id="1")],
        stage_status=messages.StageStatus.OK,
        whole_usage=messages.Usage(documents=3),
    )


def test_json_has_the_names_of_the_option(contract: Any) -> None:
    encoded = json.loads(msgspec.json.encode(sample_of(contract)))

    assert list(encoded) == [
        "createdAt",
        "freeLabels",
        "totalRuns",
        "someConfig",
        "bestResults",
        "sentDocuments",
        "stageStatus",
        "wholeUsage",
        "lastUsedAt",
    ]
    assert encoded["createdAt"] == "2026-11-29T20:00:00.123456Z"
    assert encoded["totalRuns"] == 2**40
    assert encoded["bestResults"] == [{"index": 1, "relevance_score": 0.5}]
    assert json.loads(msgspec.json.encode(contract.Sample())) == {
        "freeLabels": {},
        "totalRuns": 0,
        "bestResults": [],
        "sentDocuments": [],
        "stageStatus": "unspecified",
        "lastUsedAt": None,
    }


def test_both_names_are_read(contract: Any) -> None:
    decode = decoder_of(contract.UpdateSampleRequest)
    camel = {"updateMask": "totalRuns", "newSample": {"totalRuns": 3, "someConfig": {"top_n": 1}}, "topN": 2}
    snake = {"update_mask": "totalRuns", "new_sample": {"total_runs": 3, "some_config": {"top_n": 1}}, "top_n": 2}

    assert decode(json.dumps(camel).encode()) == decode(json.dumps(snake).encode())
    assert decode(json.dumps(snake).encode()).new_sample.some_config == {"top_n": 1}
    with pytest.raises(ServiceError, match="topN must be given once"):
        decode(b'{"topN": 1, "top_n": 1}')
    with pytest.raises(msgspec.ValidationError, match="unknown field `topM`"):
        decode(b'{"topM": 1, "update_mask": ""}')
    with pytest.raises(msgspec.ValidationError, match=r"\$.newSample.totalRuns"):
        decode(b'{"new_sample": {"total_runs": "x"}}')


def test_messages_survive_protobuf(contract: Any, converters: Any) -> None:
    request = contract.UpdateSampleRequest(key="k", update_mask="total_runs,a.b", new_sample=sample_of(contract))
    proto = converters.update_sample_request_to_proto(request)
    wire = type(proto).FromString(proto.SerializeToString())

    assert converters.update_sample_request_from_proto(wire) == request
    assert list(wire.update_mask.paths) == ["total_runs", "a.b"]
    wire.new_sample.created_at.seconds = 2**60
    with pytest.raises(ValueError, match="range"):
        converters.update_sample_request_from_proto(wire)


def test_messages_without_fields_are_converted(contract: Any, converters: Any) -> None:
    empty = converters.delete_sample_response_to_proto(contract.DeleteSampleResponse())

    assert converters.delete_sample_response_from_proto(empty) == contract.DeleteSampleResponse()


def test_masks_have_proto_names() -> None:
    assert paths_of("topN, config.providerKey,") == ["top_n", "config.provider_key"]
    assert paths_of(None) == []


def test_routes_have_verbs_and_statuses(schema: Schema) -> None:
    source = render_routes(schema)

    for part in ('http_method="PATCH"', 'http_method="PUT"', 'http_method="DELETE"', "success_status=204"):
        assert part in source
    assert 'service="sample_service", method="list_samples"' in source


def test_services_stand_behind_gates(schema: Schema) -> None:
    source = render_protocols(schema)

    assert "sample_service: SampleService = GatedSampleService(not_opened)" in source
    assert 'await self._gate("SampleService.DeleteSample", call)' in source
    assert "class GatedRerankService" not in source
    assert 'SAMPLE_SERVICE: Final = "rerank.v1.SampleService"' in render_servicers(schema)


def test_openapi_describes_them(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UpdateSample", "ListSamples", "DeleteSample"):
        monkeypatch.setitem(REQUESTS, name, {"a": {"value": {}}})
        monkeypatch.setitem(ANSWERS, name, {"a": {"value": {}}})
    document = json.loads(render_openapi(schema))
    operations = document["paths"]["/api/sample"]
    sample = document["components"]["schemas"]["Sample"]

    assert [parameter["name"] for parameter in operations["get"]["parameters"][:2]] == ["from", "pageSize"]
    assert "content" not in operations["delete"]["responses"]["204"]
    assert sample["properties"]["createdAt"]["type"] == ["string", "null"]
    assert sample["properties"]["lastUsedAt"]["type"] == ["string", "null"]
    assert sample["properties"]["freeLabels"]["additionalProperties"] == {"type": "string"}
    assert "SampleService" in [tag["name"] for tag in document["tags"]]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("{key}", "{no_such}"), r"UpdateSample: {no_such} of /api/sample/{no_such} is not a string field"),
        (("map<string, string>", "map<int32, string>"), "Sample.free_labels: maps are of strings to scalars"),
        (
            ("total_runs = 3;", "total_runs = 3 [(json_null) = true];"),
            "Sample.total_runs: json_null is for fields that",
        ),
        (("rpc ListSamples", "rpc ListModels"), "ListModels: two services have an rpc of this name"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    with pytest.raises(SchemaError, match=problem):
        read_schema(compile_protos(tmp_path, SAMPLE.replace(*change)))
