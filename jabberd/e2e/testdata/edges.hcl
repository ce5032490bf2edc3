# Two hosts, whose clients come by two processes.

variable "c2s_port" { default = 5222 }
variable "c2s_tls_port" { default = 5223 }
variable "other_tls_port" { default = 5224 }
variable "data_dir" { default = "data" }

engine { data_dir = var.data_dir }

session "c2s" {
  process = "edge"

  load "c2s" {
    listen = "127.0.0.1:${var.c2s_port}"
    tls { listen = "127.0.0.1:${var.c2s_tls_port}" }
  }
}

session "other-c2s" {
  process = "other-edge"

  load "c2s" {
    listen = []
    tls { listen = "127.0.0.1:${var.other_tls_port}" }
  }
}

service "users" {
  process = "sm"

  host "localhost" {}
  load "admin" { admins = ["ann@localhost"] }
  load "sm" {}
}

service "company" {
  process = "company"

  host "company.localhost" {}
  load "admin" { admins = ["ann@company.localhost"] }
  load "sm" {}
}

xdb "store" {
  host "*" {}
  badger { path = "xdb" }
}
