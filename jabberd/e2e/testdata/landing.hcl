# Invitations with pages: what owns the sockets is a process of its own.

variable "c2s_tls_port" { default = 5223 }
variable "https_port" { default = 5281 }
variable "data_dir" { default = "data" }

engine { data_dir = var.data_dir }

session "c2s" {
  process = "edge"
  load "http" {
    tls { listen = "127.0.0.1:${var.https_port}" }
  }
  load "landing" {}
  load "c2s" {
    listen       = []
    registration = ["localhost"]
    tls { listen = "127.0.0.1:${var.c2s_tls_port}" }
  }
}

service "users" {
  host "localhost" {}
  load "register" {
    invite { page = "https://{host}:${var.https_port}/invite/" }
  }
  load "sm" {}
}

xdb "store" {
  host "*" {}
  badger { path = "xdb" }
}
