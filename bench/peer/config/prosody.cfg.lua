-- The core of an IM server; no rate limits (mod_limits is not loaded). Stream
-- management costs those nothing who do not ask for it.
run_as_root = true
pidfile = "{{.Dir}}/prosody.pid"
data_path = "{{.Dir}}/data"
certificates = "{{.Dir}}"
interfaces = { "127.0.0.1" }
local_interfaces = { "127.0.0.1" }
c2s_ports = { {{.Port}} }
network_backend = "epoll"
-- The default threshold of 105 costs up to four times as much a message.
gc = { mode = "incremental", threshold = 200 }
modules_enabled = {
	"roster"; "saslauth"; "tls"; "disco"; "ping"; "register"; "vcard_legacy"; "pep"; "private"; "version"; "time"; "smacks";
}
modules_disabled = { "s2s"; "admin_shell"; "posix_daemon" }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_hashed"
storage = "internal"
allow_registration = true
c2s_close_timeout = 1
log = { warn = "{{.Dir}}/prosody.log" }
ssl = { certificate = "{{.Dir}}/cert.pem"; key = "{{.Dir}}/key.pem" }
network_settings = { tcp_backlog = 1024 }

VirtualHost "localhost"
