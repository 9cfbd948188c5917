from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from rerankd.settings import Settings, SettingsError, load_settings


def problems(tmp_path: Path, text: str, **overrides: Any) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load_settings(written(tmp_path, text), overrides)
    return raised.value.problems


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "rerankd.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_defaults_need_nothing() -> None:
    settings = load_settings()
    assert settings == Settings(source="defaults")
    assert (settings.server.host, settings.server.grpc_port, settings.server.http_port) == (
        "localhost",
        50051,
        8080,
    )


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, "# nothing\n")).server == Settings().server


def test_flags_beat_the_environment_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, "server: {http_port: 1, grpc_port: 2, host: 0.0.0.0}\n")
    monkeypatch.setenv("RERANKD_SERVER__HTTP_PORT", "3")
    monkeypatch.setenv("RERANKD_SERVER__GRPC_PORT", "4")
    settings = load_settings(file, {"server.grpc_port": 5})
    assert (settings.server.host, settings.server.http_port, settings.server.grpc_port) == ("0.0.0.0", 3, 5)


def test_the_file_named_by_the_environment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, "aliases: {fast: local/bm25}\n")
    monkeypatch.setenv("RERANKD_CONFIG", str(file))
    settings = load_settings()
    assert settings.aliases == {"fast": "local/bm25"}
    assert settings.source == str(file)


def test_variables_of_the_client_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANKD_ADDRESS", "somewhere:1")
    monkeypatch.setenv("RERANKD_API_KEY", "key")
    assert load_settings() == Settings(source="defaults")


def test_every_unknown_key_is_named_with_the_closest_known_one(tmp_path: Path) -> None:
    found = problems(tmp_path, "servr: {}\nserver: {htp_port: 1, zzz: 2}\n")
    assert found == [
        "servr is not a setting; did you mean server?",
        "server.htp_port is not a setting; did you mean server.http_port?",
        "server.zzz is not a setting",
    ]


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANKD_SERVER__PROT", "1")
    with pytest.raises(SettingsError, match=r"server\.prot is not a setting"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("server: {http_port: many}", 'server.http_port: expected `int`, got `str` "many"'),
        ("server: {http_port: 70000}", "server.http_port must be 0 to 65535, is 70000"),
        ("server: {http_port: 50051}", "server.grpc_port and server.http_port are both 50051"),
        ("server: {workers: 0}", "server.workers must be at least 1, is 0"),
        ("server: {drain_grace_s: -1}", "server.drain_grace_s must not be negative, is -1.0"),
        ("limits: {max_documents: 0}", "limits.max_documents must be at least 1, is 0"),
        ("limits: {default_timeout_s: 0}", "limits.default_timeout_s must be at least 1, is 0"),
        ("limits: {max_provider_share: 1.5}", "limits.max_provider_share must be above 0 and at most 1, is 1.5"),
        ("log: {level: loud}", 'log.level: must be one of debug, info, warning, error, is "loud"'),
        ("server: 5", "server: expected `object`, got `int` 5"),
        ("source: x", "source is not a setting"),
    ],
)
def test_a_bad_value_is_named_by_its_path(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a list\n", "must hold a mapping"),
        ("a: [1\n", "is not valid YAML"),
        ("just text\n", "must hold a mapping"),
    ],
)
def test_a_file_that_is_no_settings_file(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in problems(tmp_path, text)[0]


def test_a_missing_file_and_a_binary_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load_settings(tmp_path / "none.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="is not UTF-8"):
        load_settings(binary)


def test_the_example_file_states_every_setting_with_its_default() -> None:
    example = Path(__file__).parents[3] / "server" / "rerankd.example.yaml"
    assert load_settings(example) == Settings(source=str(example))
    stated = yaml.safe_load(example.read_text(encoding="utf-8"))
    assert missing_paths(Settings, stated) == ["source"]


def missing_paths(struct: type[msgspec.Struct], stated: dict[str, Any], section: str = "") -> list[str]:
    missing = []
    for field in msgspec.structs.fields(struct):
        if field.name not in stated:
            missing.append(f"{section}{field.name}")
        elif isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            missing += missing_paths(field.type, stated[field.name], f"{section}{field.name}.")
    return missing
