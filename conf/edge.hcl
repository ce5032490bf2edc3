# The server of jabberd.hcl, so that most of it can be replaced, or die, while
# clients stay connected.
#
# What owns the sockets is a small process that seldom changes: the edge. The
# sessions are in another, the storage in a third (the program xdb, without being
# asked to). A process that dies is started again, and what it had not answered
# is delivered to it again. If the edge dies, its connections do, and clients
# that know XEP-0198 resume.

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

variable "durability" {
  default     = "process"
  description = "what acknowledged messages outlive: the death of a process, or of the machine (disk)"
}

engine { data_dir = var.data_dir }

# A process that lives on for a while without the core waits for the next core:
# the core can be upgraded, or crash, and no connection is lost.
process "edge" { orphan_grace = "30s" }
process "sm" { orphan_grace = "30s" }

session "c2s" {
  process = "edge"

  load "http" {
    optional = true # a port that another has is no reason not to start
    listen   = "127.0.0.1:${var.http_port}"
    tls { listen = ":${var.https_port}" }
  }

  # Pages that invitations lead to (invite { page = "https://{host}:5281/invite/" } in register):
  # load "landing" {}

  load "c2s" {
    listen   = ":${var.c2s_port}"
    starttls = var.tls
    tls { listen = ":${var.c2s_tls_port}" }
    websocket {}
    bosh {}
  }
}

service "users" {
  process = "sm"

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
    durability = var.durability

    offline { max = 1000 }
  }
}

xdb "store" {
  host "*" {}
  cache { ttl = "10m" }
  badger { path = "xdb" }
}

log "everything" {
  host "*" {}
  filter { level = "info" }
  format {}
  file { path = "log/jabberd.log" }
}
