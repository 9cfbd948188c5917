"""Gates of services: who passes, and what is said to others."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor

from rerankd.access.key_format import digest_of, new_secret
from rerankd.access.key_settings import DeclaredKey
from rerankd.access.opening import CLOSED, Access, gate_of
from rerankd.access.rights import SCOPES_OF_RPC
from rerankd.access.scopes import Scope
from rerankd.access.settings import AccessSettings
from rerankd.contract import access_messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Code, Reason, ServiceError
from rerankd.contract.gate import not_opened
from rerankd.http.transport import HttpTransport
from rerankd.rpc.servicers import SERVICE_NAMES
from rerankd.store.opening import LazyDatabase
from rerankd.store.settings import StoreSettings

ADMIN, PLAIN = new_secret(), new_secret()
SERVICES: list[ServiceDescriptor] = [descriptor_pool.Default().FindServiceByName(name) for name in SERVICE_NAMES]


def no_transport() -> HttpTransport:
    raise AssertionError("no token issuer is asked")


@pytest.fixture
def access() -> Access:
    keys = {
        "admin": DeclaredKey(hash=digest_of(ADMIN), scopes=("admin",), owner="ops"),
        "plain": DeclaredKey(hash=digest_of(PLAIN)),
    }
    settings, store = AccessSettings(enabled=True, keys=keys), StoreSettings()
    return Access(settings, LazyDatabase(store), no_transport, state_directory=store.state_directory())


def call(secret: str = "") -> CallContext:
    return CallContext(request_id="r", metadata={"authorization": f"Bearer {secret}"} if secret else {})


def test_every_rpc_has_scopes() -> None:
    rpcs = {f"{service.name}.{method.name}" for service in SERVICES for method in service.methods}
    assert rpcs == SCOPES_OF_RPC.keys(), "access/rights.py has a row for each rpc"
    assert all(SCOPES_OF_RPC.values())


@pytest.mark.parametrize("rpc", sorted(rpc for rpc in SCOPES_OF_RPC if rpc.startswith("AccessService.")))
async def test_callers_pass_with_the_scope_of_the_rpc(access: Access, rpc: str) -> None:
    gate = access.gate("the service")
    service, passed = await gate(rpc, call(ADMIN))
    assert (service, passed.caller.identity) == ("the service", "ops")
    with pytest.raises(ServiceError) as refused:
        await gate(rpc, call(PLAIN))
    assert (refused.value.reason, refused.value.metadata) == (Reason.INSUFFICIENT_SCOPE, {"scope": Scope.ADMIN})
    with pytest.raises(ServiceError) as refused:
        await gate(rpc, call())
    assert refused.value.reason is Reason.API_KEY_MISSING


async def test_everybody_passes_where_callers_need_no_keys() -> None:
    asked = call()
    assert await gate_of(None, "the service")("RerankerService.ListRerankers", asked) == ("the service", asked)


async def test_callers_are_checked_where_they_need_keys(access: Access) -> None:
    with pytest.raises(ServiceError):
        await gate_of(access, "the service")("AccessService.ListKeys", call())


async def test_a_closed_service_names_the_setting_that_opens_it() -> None:
    with pytest.raises(ServiceError) as refused:
        await CLOSED.list_keys(access_messages.ListKeysRequest(), call())
    error = refused.value
    assert (error.reason, error.code, error.http_status) == (Reason.SERVICE_DISABLED, Code.FAILED_PRECONDITION, 400)
    assert error.metadata == {"service": "AccessService", "setting": "access.enabled"}
    assert "AccessService is not available: access.enabled is false" in str(error)


async def test_a_service_that_is_not_served_says_so() -> None:
    with pytest.raises(ServiceError, match="AccessService is not served here") as refused:
        await not_opened("AccessService.GetKey", call())
    assert refused.value.reason is Reason.SERVICE_DISABLED
