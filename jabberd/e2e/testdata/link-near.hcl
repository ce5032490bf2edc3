# The side that connects, of the tests of the native link: what a component says to
# another one on the other server crosses in a process of its own.

variable "component_port" {}
variable "link_to" {}
variable "link_ca" {}
variable "data_dir" {}
variable "isolation" { default = "process" }

engine {
  data_dir  = var.data_dir
  isolation = var.isolation
}

process "components" { orphan_grace = "30s" }
process "link" { orphan_grace = "30s" }

normal "source" {
  host "source.localhost" {}

  accept {
    process = "components"
    listen  = "127.0.0.1:${var.component_port}"
    secret  = "one"
  }
}

normal "far" {
  host "sink.localhost" {}

  connect {
    process = "link"
    to      = var.link_to
    secret  = "the secret of both"
    retry { first = "50ms" }
    native { ca = var.link_ca }
  }
}

log "all" {
  host "*" {}
  format {}
  stderr {}
}
