# Clients over TCP and over HTTP in a process each, with the certificates of one folder.

variable "c2s_tls_port" { default = 5223 }
variable "https_port" { default = 5281 }
variable "data_dir" { default = "data" }

engine { data_dir = var.data_dir }

session "c2s" {
  process = "edge"
  load "c2s" {
    listen = []
    tls { listen = "127.0.0.1:${var.c2s_tls_port}" }
  }
}

session "web" {
  process = "web"
  load "http" {
    tls { listen = "127.0.0.1:${var.https_port}" }
  }
}

service "users" {
  host "localhost" {}
  load "sm" {}
}

xdb "store" {
  host "*" {}
  badger { path = "xdb" }
}
