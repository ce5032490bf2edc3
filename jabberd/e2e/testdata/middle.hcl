# Two components that talk to each other, as in conf/components.hcl, with processes
# in between: what "echo" sends to "via" is sent on to "irc", in whose chain is a
# process of its own.

variable "echo_port" { default = 5347 }
variable "irc_port" { default = 5348 }
variable "data_dir" { default = "data" }
variable "middle" { default = "" }

engine { data_dir = var.data_dir }
plugin "middle" { path = var.middle }

# All on the way outlive the core: what would die with it could not tell the next
# one what it had sent on already.
process "one" { orphan_grace = "30s" }
process "two" { orphan_grace = "30s" }
process "middle" { orphan_grace = "30s" }
process "middle.irc" { orphan_grace = "30s" }

normal "echo" {
  host "echo.localhost" {}

  accept {
    process = "one"
    listen  = "127.0.0.1:${var.echo_port}"
    secret  = env("ECHO_SECRET")
  }
}

normal "via" {
  host "via.localhost" {}
  relay { to = "irc.localhost" }
}

normal "irc" {
  host "irc.localhost" {}
  fork {}
  relay {}

  accept {
    process = "two"
    listen  = "127.0.0.1:${var.irc_port}"
    secret  = env("IRC_SECRET")
  }
}

xdb "store" {
  host "*" {}
  memory {}
}

log "everything" {
  host "*" {}
  format {}
  file { path = "log" }
}
