#!/usr/bin/env bash
# Fails when something of the server's half is linked into the page. `tokio` by itself may be there (its channels
# and select! run anywhere); its runtime may not.
set -euo pipefail
cd "$(dirname "$0")/.."

crates=$(cargo tree -p frontend --target wasm32-unknown-unknown -e normal --prefix none --format '{p}|{f}' | sort -u)
server_only='^(argon2|axum|chat|headless|hyper|hyper-util|leptos_axum|libsqlite3-sys|server|sqlx|sqlx-core|tower-sessions|tower-sessions-core|trials) v'
runtime='^tokio v[^|]*\|(.*,)?(rt|rt-multi-thread|net|full)(,|$)'

if found=$(grep -E "$server_only|$runtime" <<<"$crates"); then
  echo "These belong to the server and must not reach the browser:" >&2
  sed 's/|.*//; s/^/  /' <<<"$found" >&2
  echo "See who brings one in: cargo tree -p frontend --target wasm32-unknown-unknown -e normal -i NAME" >&2
  exit 1
fi
echo "Nothing of the server among the $(wc -l <<<"$crates") crates that reach the browser."
