"""Settings that cannot be used are named; nothing but `redis_url` needs the Redis library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rerankd.cache.opening import open_pair_scores
from rerankd.cache.settings import CacheSettings


def test_the_defaults_can_be_used() -> None:
    assert CacheSettings().problems() == []
    counters = open_pair_scores(CacheSettings()).counters()
    assert (counters.entries, counters.is_redis_up) == (0, None)


@pytest.mark.parametrize("url", ["redis://host", "rediss://user:pass@host:6380/2", "unix:///run/redis.sock?db=1"])
def test_addresses_of_redis_can_be_used(url: str) -> None:
    assert CacheSettings(redis_url=url).problems() == []


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (CacheSettings(max_mb=0), "max_mb"),
        (CacheSettings(ttl_s=0), "ttl_s"),
        (CacheSettings(ttl_s=float("nan")), "ttl_s"),
        (CacheSettings(redis_ttl_s=-1), "redis_ttl_s"),
        (CacheSettings(redis_timeout_ms=0), "redis_timeout_ms"),
        (CacheSettings(redis_url="http://s3cret@host"), "redis_url"),
        (CacheSettings(redis_url="redis://:s3cret@host:port"), "redis_url"),
        (CacheSettings(redis_url="host:6379"), "redis_url"),
    ],
)
def test_each_problem_names_its_setting_and_no_secret(settings: CacheSettings, field: str) -> None:
    (problem,) = settings.problems("cache")
    assert problem.startswith(f"cache.{field} ")
    assert "s3cret" not in problem


def test_a_missing_library_is_a_problem_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rerankd.cache.settings.find_spec", lambda name: None)
    assert CacheSettings(redis_url="redis://host").problems() == [
        "cache.redis_url needs a library that is not installed; install rerankd[redis]"
    ]
    assert CacheSettings().problems() == []


def test_without_a_url_the_library_is_not_even_imported() -> None:
    program = (
        "import sys; from rerankd.cache.opening import open_pair_scores as o; from rerankd.cache.settings import "
        "CacheSettings as c; o(c()); assert 'redis' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
