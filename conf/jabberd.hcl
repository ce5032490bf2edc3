# A complete server for one host: users log in, chat, and find what they missed.
#
#   jabberd run conf/jabberd.hcl --var host=example.org
#
# The file is the delivery tree. A packet takes the branch of its kind, then that
# of its host; there, every section gets a copy of it, and in each the blocks are
# asked from top to bottom until one claims it. "jabberd tree" prints the tree,
# "jabberd explain" says which way a packet takes, and why.

variable "host" {
  default     = "localhost"
  description = "the host that users have accounts on"
}

variable "c2s_port" {
  default     = 5222
  description = "for clients that begin in the clear and go on with STARTTLS"
}

variable "c2s_tls_port" {
  default     = 5223
  description = "for clients that begin with TLS"
}

variable "http_port" {
  default     = 5280
  description = "for a web server on this machine that passes requests on"
}

variable "https_port" {
  default     = 5281
  description = "for clients in browsers: WebSocket and BOSH"
}

variable "tls" {
  default     = "required"
  description = "required or optional; optional lets passwords cross in the clear, for tests"
}

variable "data_dir" {
  default     = "data"
  description = "the folder of all that the server keeps"
}

variable "isolation" {
  default     = "process"
  description = "process: modules run in processes beside the core; none: all in one"
}

engine {
  isolation = var.isolation
  data_dir  = var.data_dir
}

# Connections of clients. Without a certificate of its own the server makes one
# that nobody else knows, on first start; clients ask their users about it.
session "c2s" {
  # What clients in browsers connect to: wss://localhost:5281/ws, or
  # https://localhost:5281/http-bind, which they find by host-meta.
  load "http" {
    optional = true # a port that another has is no reason not to start
    listen   = "127.0.0.1:${var.http_port}"
    tls { listen = ":${var.https_port}" }
    # external = "https://chat.example.org"   where a web server passes them on
  }

  # Pages that invitations lead to (invite { page = "https://{host}:5281/invite/" } in register):
  # load "landing" {}

  load "c2s" {
    listen   = ":${var.c2s_port}"
    starttls = var.tls

    tls {
      listen = ":${var.c2s_tls_port}"
      # cert = "/etc/ssl/example.org.crt"
      # key  = "/etc/ssl/example.org.key"
    }

    websocket {}
    bosh {}
  }
}

# The host and its users: sessions, presence, rosters, messages for those who
# are away. Packets for other hosts have no section here, so they bounce.
service "users" {
  host { label = var.host }

  # What clients ask of a host and of accounts. Each is asked before sm, which
  # answers what is left.
  load "privacy" {} # first, so that those who are blocked do not reach the others
  load "vcard" {}
  load "private" {}
  load "version" {}
  load "time" {}
  load "last" {}

  # Accounts that people make themselves, with an invitation ("jabberd invite"). Add
  # registration = [var.host] to c2s, or only those who are logged in get to it:
  # load "register" {}

  # Who may run the host from a client (accounts, sessions, announcements):
  # load "admin" { admins = ["ann@example.org"] }

  # Whom to turn to about the host:
  # load "contact" { admin = ["xmpp:ann@example.org", "mailto:ann@example.org"] }

  load "sm" {
    offline { max = 1000 }
  }
}

# Where accounts, rosters and messages are kept, for all hosts. The cache claims
# nothing: it passes a question on and remembers the answer.
xdb "store" {
  host "*" {}
  cache { ttl = "10m" }
  badger { path = "xdb" }
}

# The log. Each section has its own copy of every entry.
log "everything" {
  host "*" {}
  filter { level = "info" }
  format {}

  file {
    path = "log/jabberd.log"
    keep = 7
  }
}

log "warnings" {
  host "*" {}
  filter { level = "warn" }
  format { text = "%l %h %f: %s%a" }
  stderr {}
}
