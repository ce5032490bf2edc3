# The side that accepts, of the tests of the native link.

variable "component_port" {}
variable "link_port" {}
variable "link_cert" {}
variable "link_key" {}
variable "data_dir" {}
variable "isolation" { default = "process" }

engine {
  data_dir  = var.data_dir
  isolation = var.isolation
}

process "components" { orphan_grace = "30s" }
process "link" { orphan_grace = "30s" }

normal "near" {
  host "source.localhost" {}

  accept {
    process = "link"
    listen  = "127.0.0.1:${var.link_port}"
    secret  = "the secret of both"

    native {
      certificate = var.link_cert
      key         = var.link_key
    }
  }
}

normal "sink" {
  host "sink.localhost" {}

  accept {
    process = "components"
    listen  = "127.0.0.1:${var.component_port}"
    secret  = "two"
  }
}

log "all" {
  host "*" {}
  format {}
  stderr {}
}
