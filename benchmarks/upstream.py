"""The provider behind every server: nginx with Cohere's answers for each number of documents, plain and over TLS.

An answer is chosen by the path: `/100/v2/rerank` has the answer to 100 documents. nginx reads the whole request before
it answers, as a provider does (that is what the mirror is for; without it the answer would overtake the request).
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from benchmarks.processes import MissingToolError, Ports, Running, free_port, running

COUNTS = (2, 4, 50, 100, 1000, 10000)
"""Numbers of documents there is an answer for."""

CA_FILE = "ca.pem"
"""What its certificate is verified against."""

CONFIGURATION = """\
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr notice;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
  client_max_body_size 64m; client_body_buffer_size 64m; root {folder}; default_type application/json;
  open_file_cache max=100 inactive=1h; open_file_cache_valid 1h;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    listen 127.0.0.1:{tls} ssl backlog=4096;
    ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
    location = /sink {{ internal; return 204; }}
    location /answers/ {{ internal; }}
    location ~ ^/(\\d+)/ {{ mirror /sink; try_files /answers/$1.json =404; error_page 405 =200 /answers/$1.json; }}
  }}
}}
"""


def answer(count: int) -> bytes:
    """Make Cohere's answer to `count` documents, best first."""
    rng = random.Random(count)
    scores = sorted((rng.random() for _ in range(count)), reverse=True)
    order = rng.sample(range(count), count)
    results = [{"index": index, "relevance_score": round(score, 8)} for index, score in zip(order, scores, strict=True)]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": -(-count // 100)}}
    return json.dumps({"id": "0f2ba0b4-3a4c-4b5c-8f59-6f0a1c1d2e3f", "results": results, "meta": meta}).encode()


@contextmanager
def upstream(folder: Path, cores: set[int]) -> Iterator[Running]:
    """Run the provider; its ports are `port` and, over TLS, `tls`. The folder gets `CA_FILE`.

    Raises:
        MissingToolError: There is no nginx.
    """
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        raise MissingToolError("nginx is not installed: apt-get install nginx-light")
    (folder / "answers").mkdir(parents=True)
    for count in COUNTS:
        (folder / "answers" / f"{count}.json").write_bytes(answer(count))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / CA_FILE))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    ports = {"port": free_port(), "tls": free_port()}
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, **ports))

    def find_ports(line: str) -> Ports | None:
        return ports if "[notice]" in line and "nginx/" in line else None

    with running([nginx, "-p", str(folder), "-c", str(configuration), "-e", "stderr"], find_ports, cores) as server:
        yield server
