#!/usr/bin/env bash
# What the tests need beside Rust: PostgreSQL's server, and Python with the programs we are compared with, in CAMBIST_TOOLS (.venv).
set -euo pipefail
cd "$(dirname "$0")/.."
tools="${CAMBIST_TOOLS:-$(pwd)/.venv}"
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

packages=()
command -v cc >/dev/null || packages+=(build-essential)
python3 -c "import ensurepip" 2>/dev/null || packages+=(python3-venv)
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || packages+=(postgresql)
command -v prometheus >/dev/null || packages+=(prometheus)
if [ ${#packages[@]} -gt 0 ]; then
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy "${packages[@]}"
fi

[ -x "$tools/bin/python" ] || python3 -m venv "$tools"
"$tools/bin/python" -m pip install --quiet \
  "numpy>=1.26" "fastapi>=0.115" "uvicorn>=0.34" "websockets>=14" "httpx>=0.28" "pytest>=8" "trustme>=1.2" \
  "schemathesis>=4.3,<5" "tensorboard>=2.20,<3" "setuptools<81" "optuna==5.0.0" "psycopg[binary]>=3.2,<4" "ray==2.60.0"
