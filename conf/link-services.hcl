# Services for the users of another jabberd, conf/link-users.hcl, which connects to
# this one by the native link: nothing is lost, repeated or reordered when the
# connection breaks.
#
# LINK_SECRET has 16 characters or more, the same on both sides; basemods/accept/README.md
# says how to make certificates.
#
#   LINK_SECRET=... ECHO_SECRET=... jabberd run conf/link-services.hcl --var link_certificate=... --var link_key=...
#
# Here the service is an external component, echo.localhost; any section would do.

variable "host" {
  default     = "localhost"
  description = "the host of the users on the other server"
}

variable "link_port" {
  default     = 5270
  description = "where the other server connects"
}

variable "link_certificate" {
  default     = "link/server.crt"
  description = "the certificate that the other server is shown; a relative path is below data_dir"
}

variable "link_key" {
  default     = "link/server.key"
  description = "its private key"
}

variable "echo_port" {
  default     = 5347
  description = "where the component echo connects"
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

# What is for the users goes over the link, and what comes over it has to be from
# them.
normal "users" {
  host { label = var.host }

  accept {
    process = "link"
    listen  = ":${var.link_port}"
    secret  = env("LINK_SECRET")

    native {
      certificate = var.link_certificate
      key         = var.link_key
      from        = [var.host]
    }
  }
}

normal "echo" {
  host { label = "echo.${var.host}" }

  accept {
    listen = "127.0.0.1:${var.echo_port}"
    secret = env("ECHO_SECRET")
  }
}

log "warnings" {
  host "*" {}
  filter { level = "warn" }
  format {}
  stderr {}
}
