# A component hub: no users, only programs that talk to each other as hosts of
# their own, by XEP-0114. Every library and gateway that knows that protocol
# can connect.
#
#   ECHO_SECRET=... IRC_SECRET=... jabberd run conf/components.hcl
#
# A message to "anyone@irc.localhost" goes to the component that is connected for
# that host. While it is away its messages wait, up to a limit; then they bounce.

variable "host" {
  default     = "localhost"
  description = "the hosts of the components are below it"
}

variable "echo_port" {
  default     = 5347
  description = "where the component echo connects"
}

variable "irc_port" {
  default     = 5348
  description = "where the component irc connects"
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

normal "echo" {
  host { label = "echo.${var.host}" }

  accept {
    listen = "127.0.0.1:${var.echo_port}"
    secret = env("ECHO_SECRET")
  }
}

normal "irc" {
  host { label = "irc.${var.host}" }

  accept {
    listen = "127.0.0.1:${var.irc_port}"
    secret = env("IRC_SECRET")
  }
}

log "warnings" {
  host "*" {}
  filter { level = "warn" }
  format {}
  stderr {}
}
