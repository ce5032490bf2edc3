# The server of jabberd.hcl, with events: what happens is told to a file, a
# program and a person, each of which gets what it asks for.
#
#   jabberd run conf/events.hcl --var admin=ann@localhost
#
# Events are entries of the log that have the field "event"; docs/events.md lists
# them. "filter" keeps those that a section is for.

include "jabberd.hcl" {}

variable "admin" {
  default     = "admin@localhost"
  description = "who is told of modules that fail and of logins"
}

variable "program" {
  default     = ["sh", "-c", "exec cat >> sessions.xml"]
  description = "the program that is told of sessions, and its arguments; it reads an XML element a line, and what it prints is delivered"
}

# Messages have an event each because this module tells of them; it takes a copy
# of what is to the host's accounts and holds nothing up.
normal "tap" {
  observe = true
  host { label = var.host }
  load "events" { stanzas = ["message"] }
}

log "messages" {
  host "*" {}
  filter { event = ["message"] }
  format { json = true }
  file { path = "log/messages.log" }
}

log "sessions" {
  host "*" {}
  filter { event = ["session.*"] }

  exec {
    command = var.program
    dir     = "." # the data folder
  }
}

log "to-admin" {
  host "*" {}

  filter {
    event = ["module.error", "session.authenticated"]
    rate  = 5
  }

  format { text = "%%{event} %%{account}: %s" }
  to { jid = var.admin }
}
