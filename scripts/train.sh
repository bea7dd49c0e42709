#!/usr/bin/env bash
# bash scripts/train.sh OPTIONS: sets up once, then `snnlab train OPTIONS`, in the folder where it was called.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
exec "$root/.venv/bin/snnlab" train "$@"
