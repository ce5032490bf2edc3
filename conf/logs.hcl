# The server of jabberd.hcl, with a log pipeline of its own: errors go to a file
# of their own, and a person is told of warnings.
#
#   jabberd run conf/logs.hcl --var admin=ann@localhost
#
# Entries are packets like all others. What a chain does with them is its blocks,
# from top to bottom: which pass, in what form, and where they go.

include "jabberd.hcl" {}

variable "admin" {
  default     = "admin@localhost"
  description = "who is told of warnings"
}

# Warnings and errors become messages. Of a flood, five a second; an entry says
# how many were left out. What handling these messages logs goes to stderr only,
# so that no entry makes another without end.
log "to-admin" {
  host "*" {}

  filter {
    level = "warn"
    rate  = 5
  }

  format { text = "%l from %h, %f: %s%a" }
  to { jid = var.admin }
}

# Errors, as objects for a program to read; a file a day, a month of them.
log "errors" {
  host "*" {}
  filter { level = "error" }
  format { json = true }

  file {
    path     = "log/errors.log"
    age      = "1d"
    keep     = 30
    compress = true
  }
}
