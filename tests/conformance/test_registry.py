"""What holds of stored rerankers on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import RerankRequest
from rerankd.registry.listing import RerankerFilter
from rerankd.registry.settings import RegistrySettings
from rerankd.registry.stored_reranker import CallTotals, StoredReranker
from rerankd.registry.version_diff import FieldDifference
from rerankd.settings import Settings
from rerankd.store.database import Database
from rerankd.store.settings import StoreSettings
from tests.support.registry import Replica, content, fusion

CALL = CallContext(request_id="test")
SETTINGS = Settings(aliases={"fast": "local/bm25"})


@pytest_asyncio.fixture
async def replica(settings: StoreSettings, database: Database) -> AsyncIterator[Replica]:
    opened = Replica(settings, SETTINGS, RegistrySettings(max_rerankers=8, kept_versions=3))
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def other(settings: StoreSettings, database: Database) -> AsyncIterator[Replica]:
    """A second process on the same store."""
    opened = Replica(settings, SETTINGS)
    yield opened
    await opened.close()


async def order_of(replica: Replica, model: str) -> list[int]:
    request = RerankRequest(model=model, query="apple", documents=["pear", "apple"])
    return [result.index for result in (await replica.host.services.rerank_service.rerank(request, CALL)).results]


async def refusal(awaitable: object) -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        await awaitable  # type: ignore[misc]  # of any kind
    return refused.value


async def test_a_reranker_comes_back_as_it_was_stored(replica: Replica) -> None:
    given = content(description="good for docs", status="disabled", metadata={"team": ["a", 1, None]})
    made = await replica.changes.create(given, author="me")
    assert (made.key, made.content, made.version) == ("docs-search", given, 1)
    assert await replica.listing.get("docs-search") == made
    (version,), more = await replica.listing.versions("docs-search")
    assert (version.content, version.author, version.origin, more) == (given, "me", "create", None)


async def test_keys_are_made_of_names_and_numbered_where_they_are_taken(replica: Replica) -> None:
    names = ["Für  Docs!", "für docs", "fast", "検索"]
    keys = [(await replica.changes.create(content(name))).key for name in names]
    assert keys == ["fur-docs", "fur-docs-2", "fast-2", "reranker"]
    error = await refusal(replica.changes.create(content(), key="fur-docs"))
    assert (error.reason, error.http_status) == (Reason.ALREADY_EXISTS, 409)
    assert (await refusal(replica.changes.create(content(), key="fast"))).reason is Reason.ALREADY_EXISTS


async def test_the_database_itself_keeps_keys_unique(replica: Replica, other: Replica) -> None:
    made = await asyncio.gather(
        *(each.changes.create(content(), key="same") for each in (replica, other) for _ in range(3)),
        return_exceptions=True,
    )
    assert len([each for each in made if isinstance(each, StoredReranker)]) == 1
    assert {each.reason for each in made if isinstance(each, ServiceError)} == {Reason.ALREADY_EXISTS}


async def test_of_two_changes_at_once_one_is_refused_with_the_current_etag(replica: Replica, other: Replica) -> None:
    made = await replica.changes.create(content())
    outcomes = await asyncio.gather(
        *(
            each.changes.update("docs-search", {"description": f"{number}"}, etag=made.etag)
            for number, each in enumerate((replica, other))
        ),
        return_exceptions=True,
    )
    (won,) = [each for each in outcomes if isinstance(each, StoredReranker)]
    (lost,) = [each for each in outcomes if isinstance(each, ServiceError)]
    assert (lost.reason, lost.http_status, lost.metadata["etag"]) == (Reason.RERANKER_CONFLICT, 409, won.etag)
    assert won.etag in lost.message
    assert await replica.listing.get("docs-search") == won


async def test_a_change_without_a_difference_makes_no_version(replica: Replica) -> None:
    made = await replica.changes.create(content())
    assert await replica.changes.update("docs-search", {"name": made.content.name}) == made


async def test_a_recreated_reranker_has_another_etag(replica: Replica) -> None:
    first = await replica.changes.create(content())
    await replica.changes.delete("docs-search", etag=first.etag)
    second = await replica.changes.create(content())
    assert (second.version, second.etag != first.etag) == (1, True)
    assert (await refusal(replica.changes.delete("docs-search", etag=first.etag))).reason is Reason.RERANKER_CONFLICT


async def test_versions_are_kept_compared_and_gone_back_to(replica: Replica) -> None:
    await replica.changes.create(content())
    for number in range(1, 4):
        await replica.changes.update("docs-search", {"config": {"model": "local/bm25", "top_n": number}})
    versions, more = await replica.listing.versions("docs-search", size=2)
    assert ([each.version for each in versions], more) == ([4, 3], 3)
    versions, more = await replica.listing.versions("docs-search", size=2, before=more)
    assert ([each.version for each in versions], more) == ([2], None)
    assert (await refusal(replica.changes.rollback("docs-search", 1))).reason is Reason.RERANKER_NOT_FOUND
    assert await replica.listing.diff("docs-search", 2, 4) == [FieldDifference("config.top_n", 1, 3)]
    back = await replica.changes.rollback("docs-search", 2)
    assert (back.version, back.content.config["top_n"]) == (5, 1)
    assert (await replica.listing.version("docs-search", 5)).origin == "rollback to 2"


async def test_lists_are_paged_filtered_and_searched(replica: Replica) -> None:
    for name, status in (("Beta", "active"), ("alpha", "disabled"), ("gamma", "active")):
        await replica.changes.create(content(name, description=f"about {name}", status=status))
    page, token = await replica.listing.page(RerankerFilter(), size=2)
    assert ([each.key for each in page], token) == (["alpha", "beta"], "beta")
    page, token = await replica.listing.page(RerankerFilter(), size=2, after=token)
    assert ([each.key for each in page], token) == (["gamma"], "")
    for wanted, keys in (
        (RerankerFilter(status="active"), ["beta", "gamma"]),
        (RerankerFilter(search="ABOUT b"), ["beta"]),
        (RerankerFilter(search="ALPHA", status="active"), []),
    ):
        assert [each.key for each in (await replica.listing.page(wanted))[0]] == keys


async def test_there_are_not_more_than_the_settings_allow(replica: Replica) -> None:
    for number in range(8):
        await replica.changes.create(content(f"r {number}"))
    assert "max_rerankers" in (await refusal(replica.changes.create(content("more")))).message


async def test_a_change_is_live_here_at_once_and_elsewhere_when_it_looks(replica: Replica, other: Replica) -> None:
    await replica.changes.create(content())
    assert await order_of(replica, "docs-search") == [1, 0]
    assert (await refusal(order_of(other, "docs-search"))).reason is Reason.MODEL_NOT_FOUND
    await other.live.refresh()
    assert await order_of(other, "docs-search") == [1, 0]
    await other.changes.update("docs-search", {"status": "disabled"})
    await replica.live.refresh()
    error = await refusal(order_of(replica, "docs-search"))
    assert (error.reason, error.message) == (
        Reason.MODEL_NOT_FOUND,
        "docs-search is disabled: its status says so",
    )
    await other.changes.delete("docs-search")
    await replica.live.refresh()
    assert (await refusal(order_of(replica, "docs-search"))).message.startswith("model docs-search not found")


async def test_what_others_need_is_neither_deleted_nor_disabled(replica: Replica) -> None:
    await replica.changes.create(content("inner"))
    await replica.changes.create(fusion("inner", "local/default", name="outer"))
    for change in (replica.changes.delete("inner"), replica.changes.update("inner", {"status": "disabled"})):
        error = await refusal(change)
        assert (error.reason, error.http_status, error.metadata["users"]) == (Reason.RERANKER_IN_USE, 409, "outer")
    for key, changed in (("inner", content("inner", model="outer")), ("outer", fusion("inner", "outer", name="outer"))):
        error = await refusal(replica.changes.update(key, {"config": changed.config}))
        assert (error.reason, [each.field for each in error.violations]) == (Reason.INVALID_REQUEST, ["config"])
        assert "is a cycle" in error.message
    await replica.changes.delete("outer")
    await replica.changes.delete("inner")
    assert await replica.listing.page(RerankerFilter()) == ([], "")


async def test_several_that_refer_to_each_other_are_put_all_or_none(replica: Replica) -> None:
    given = {"outer": fusion("inner", "local/bm25", name="outer"), "inner": content("inner")}
    assert await replica.changes.put_all(given) == ["outer", "inner"]
    assert await replica.changes.put_all(given) == []
    bad = {"inner": content("changed"), "worse": content("worse", model="nope")}
    error = await refusal(replica.changes.put_all(bad))
    assert [each.field for each in error.violations] == ["worse.config.model"]
    assert (await replica.listing.get("inner")).content.name == "inner"


async def test_totals_of_processes_add_up(replica: Replica, other: Replica) -> None:
    await replica.changes.create(content())
    tables = [await each.table.table() for each in (replica, other)]
    one = {"docs-search": CallTotals(runs=3, failures=1, latency_ms=4.0, last_used_at=7.0)}
    await asyncio.gather(*(each.add_totals(one) for each in tables for _ in range(5)))
    await tables[0].add_totals({"docs-search": CallTotals(runs=1, latency_ms=2.0, last_used_at=5.0)})
    totals = (await replica.listing.get("docs-search")).totals
    assert totals == CallTotals(runs=31, failures=10, latency_ms=42.0, last_used_at=7.0)
    assert totals.average_latency_ms == 2.0
