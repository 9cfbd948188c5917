"""Signatures of Volcengine and OCI against what their own SDKs make of the same request and time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TransportSettings
from rerankd.providers.authentication import StaticHeader, open_authenticator
from rerankd.providers.oracle import OciSignature
from rerankd.providers.volcengine import VolcengineSignature
from rerankd_adapters.base import AdapterError, AdapterErrorKind, Endpoint, HttpRequest
from rerankd_adapters.providers.oci import OCI
from rerankd_adapters.providers.volcengine import VOLCENGINE

RECORDING = Path(__file__).parents[2] / "recordings" / "oci.yaml"
ACCOUNT: Mapping[str, Any] = yaml.safe_load(RECORDING.read_text(encoding="utf-8"))["cases"][0]["options"]
KEY_ID = "/".join(ACCOUNT[name] for name in ("tenancy", "user", "fingerprint"))
OCI_REQUEST = HttpRequest(
    url="https://inference.generativeai.us-chicago-1.oci.oraclecloud.com/20231130/actions/rerankText",
    headers={"content-type": "application/json"},
    body=b'{"input":"q"}',
)

OCI_SIGNATURE = (
    "TVmtgnY27gtHG8bP1zpBGpkk2C+1VH+U7VcXibgyZdjTQ0Pcn0XhTfUPQOpjiq9sUAR01m+RxmuDnpA733+cO6Gg"
    "ky9eyoJq2HyNDULb3qmANngQEUBzaZH1W0XFNRyynHlNlez9n6nkbFUa5RXlqafiABe4+mSyMAC9offgs/MVne6R"
    "uEhCja9tsnz6Ol10zhkvrywRv2ZjWQhGFg7hlqJAw35OS3Nby+wZvNbLTTUq0dc3WZs2P25O6dNvN2Zk64gDU8B3"
    "2BZqW7v2HFdVdEC/G7Urk16Xys5E3jhgnbb5Md8clXVCpMVPi4NYGpzobgvNElaOXgxs9M/wIRhApQ=="
)
"""Made with the key of the recording by oci 2.189.0, Signer."""


async def test_volcengine_signs_as_its_sdk_does() -> None:
    request = HttpRequest(
        url=f"{VOLCENGINE.base_url}/api/knowledge/service/rerank",
        headers={"content-type": "application/json"},
        body=b'{"datas":[],"rerank_model":"m"}',
    )
    time = datetime(2026, 11, 29, 15, 0, 0, tzinfo=UTC)
    signature = VolcengineSignature("AKLTexample", "c2VjcmV0", "air", "cn-beijing", now=lambda: time)
    headers = (await signature.authenticate(request)).headers
    # Made with volcengine 1.0.229, SignerV4.sign.
    assert headers["authorization"] == (
        "HMAC-SHA256 Credential=AKLTexample/20261129/cn-beijing/air/request, "
        "SignedHeaders=content-type;host;x-content-sha256;x-date, "
        "Signature=dd4e26afeb646e31e14626647a8b9efacd107b73425516dc99d931f9e01670c4"
    )
    assert headers["x-date"] == "20261129T150000Z"


async def test_oci_signs_as_its_sdk_does(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(ACCOUNT["private_key"])
    for pem, path in ((ACCOUNT["private_key"], ""), ("", str(file))):
        signature = OciSignature(KEY_ID, pem, path, now=lambda: "Sun, 29 Nov 2026 15:00:00 GMT")
        headers = (await signature.authenticate(OCI_REQUEST)).headers
        assert headers["authorization"] == (
            'Signature algorithm="rsa-sha256",headers="date (request-target) host content-length content-type '
            f'x-content-sha256",keyId="{KEY_ID}",signature="{OCI_SIGNATURE}",version="1"'
        )


@pytest.mark.parametrize("key", [("not a key", ""), ("", "/no/such/file.pem")])
async def test_an_oci_key_that_cannot_be_used(key: tuple[str, str]) -> None:
    with pytest.raises(AdapterError) as failed:
        await OciSignature(KEY_ID, *key).authenticate(OCI_REQUEST)
    assert failed.value.kind is AdapterErrorKind.CREDENTIALS


async def test_what_of_an_oci_account_is_missing_is_named() -> None:
    transport = open_transport(TransportSettings(client="loop"))
    with pytest.raises(AdapterError) as failed:
        open_authenticator(OCI, Endpoint(base_url="https://h"), {"tenancy": "t"}, transport)
    assert "user, fingerprint, private_key or key_file" in failed.value.message
    await transport.close()


async def test_volcengine_signs_only_with_a_secret() -> None:
    transport = open_transport(TransportSettings(client="loop"))
    endpoint = Endpoint(base_url="https://h", api_key="k")
    assert isinstance(open_authenticator(VOLCENGINE, endpoint, {}, transport), StaticHeader)
    signed = open_authenticator(VOLCENGINE, endpoint, {"secret_access_key": "s"}, transport)
    assert isinstance(signed, VolcengineSignature)
    await transport.close()
