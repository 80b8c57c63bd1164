-- Prosody 0.12 as `make bench` runs it: Debian's own configuration, changed only where a comment says so.
-- @NAMES@ in capitals between at signs are filled in: a temporary folder and a free port.

data_path = "@DATA@"
certificates = "@DATA@/certs" -- an empty folder: everything stays on the loopback interface, without TLS
pidfile = "@DATA@/prosody.pid"
run_as_root = true -- only counts where the benchmark itself is run as root
log = { warn = "@DATA@/prosody.log" } -- Debian's "info" would write a line for each login

interfaces = { "127.0.0.1" }
c2s_ports = { @PORT@ }
c2s_direct_tls_ports = { }
s2s_ports = { } -- no other servers
s2s_direct_tls_ports = { }
http_ports = { }
https_ports = { }

-- Debian's list, with "mam" (the message archive) switched on. Left out: "limits", which would hold every client to
-- 10 kB/s (https://prosody.im/doc/modules/mod_limits), and "dialback", which is for other servers.
modules_enabled = {
  "disco", "roster", "saslauth", "tls",
  "blocklist", "bookmarks", "carbons", "pep", "private", "smacks", "vcard4", "vcard_legacy",
  "csi_simple", "invites", "invites_adhoc", "invites_register", "ping", "register", "time", "uptime", "version", "mam",
  "admin_adhoc", "admin_shell", "posix",
}

authentication = "internal_hashed" -- the default: SCRAM with 10,000 rounds
c2s_require_encryption = false -- plain passwords over the loopback interface, so that no system measured has TLS
allow_unencrypted_plain_auth = true

-- The archive in SQLite (https://prosody.im/doc/storage), everything else in files as by default. 0.12 has no setting
-- for SQLite's journal: it is a rollback journal with synchronous = FULL, so every message is synced to the disk, once
-- for its author's archive and once for its reader's.
storage = { archive = "sql", muc_log = "sql" }
sql = { driver = "SQLite3", database = "prosody.sqlite" }
archive_expires_after = "1w" -- Debian's

-- Nagle's algorithm holds small packets back for the other side's acknowledgement, which may take 40 ms: whoever
-- measures latency switches it off (https://prosody.im/doc/network_backend).
network_settings = { nagle = false }

VirtualHost "localhost"

-- Rooms for the fan-out, archived too; new ones are open at once.
Component "rooms.localhost" "muc"
  modules_enabled = { "muc_mam" }
  muc_room_locking = false
