#!/bin/bash
# Makes /opt/rerankd: what a lock pins, checked by hash, the wheel of rerankd, no pip, and a list of all of it.
set -euo pipefail
variant=$1
target=/opt/rerankd
python3 -m venv --without-pip "$target"
pip=(/opt/build/bin/pip --python "$target/bin/python" install --no-cache-dir --no-warn-script-location)
"${pip[@]}" --require-hashes --only-binary :all: --requirement "server/image/$variant.lock"
"${pip[@]}" --no-deps /wheels/*.whl
"$target/bin/python" server/image/sbom.py "rerankd-$variant" > "$target/sbom.cdx.json"
"$target/bin/rerankd" version
