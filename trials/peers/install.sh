#!/bin/bash
# Installs what `make bench` measures Natter beside, where it is missing and may be installed. What stays missing is left
# out of the page with a sentence, so nothing here is an error.
set -euo pipefail
cd "$(dirname "$0")"

# Debian's packages. They would start as services: policy-rc.d forbids that during the installation (Debian Policy,
# 9.3.3.1), and they are not to start with the machine either.
wanted=(prosody lua-dbi-sqlite3 ejabberd erlang-p1-sqlite3)
missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done

install_packages() {
  local policy=/usr/sbin/policy-rc.d ours=no package
  if [ ! -e "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' | "$@" tee "$policy" >/dev/null
    "$@" chmod 755 "$policy"
  fi
  "$@" apt-get update -qq || true
  local done=0
  "$@" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    </dev/null >/dev/null || done=$?
  [ "$ours" = no ] || "$@" rm -f "$policy"
  for package in prosody ejabberd; do
    if [[ " ${missing[*]} " == *" $package "* ]] && command -v systemctl >/dev/null; then
      "$@" systemctl disable "$package" >/dev/null 2>&1 || true
    fi
  done
  return "$done"
}

if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "This is no Debian: ${missing[*]} cannot be installed and stay out of the comparison."
  elif [ "$(id -u)" = 0 ]; then
    echo "== Installing ${missing[*]} with apt-get (about 1 minute)"
    install_packages env || echo "apt-get could not install them: what is missing stays out of the comparison."
  elif sudo -n true 2>/dev/null; then
    echo "== Installing ${missing[*]} with apt-get (about 1 minute)"
    install_packages sudo || echo "apt-get could not install them: what is missing stays out of the comparison."
  else
    echo "${missing[*]}: not installed, and this user may not. To compare with them: sudo apt-get install ${missing[*]}"
  fi
fi

# Socket.IO. better-sqlite3 comes as a binary where there is one for this Node, else it is compiled (3 minutes).
if [ ! -e socketio/node_modules/.package-lock.json ] ||
  [ socketio/package-lock.json -nt socketio/node_modules/.package-lock.json ]; then
  echo "== Installing Socket.IO and better-sqlite3 with npm (up to 3 minutes)"
  if npm ci --prefix socketio --no-fund --no-audit --loglevel=error; then
    touch socketio/node_modules/.package-lock.json
  else
    echo "npm could not install them: Socket.IO stays out of the comparison."
  fi
fi
