# The server of conf/jabberd.hcl in short, with an admin.

variable "c2s_port" { default = 5222 }
variable "c2s_tls_port" { default = 5223 }
variable "data_dir" { default = "data" }
variable "isolation" { default = "process" }

engine {
  isolation = var.isolation
  data_dir  = var.data_dir
}

session "c2s" {
  load "c2s" {
    listen = "127.0.0.1:${var.c2s_port}"
    tls { listen = "127.0.0.1:${var.c2s_tls_port}" }
    guesses { delay = "0s" }
  }
}

service "users" {
  host "localhost" {}
  load "admin" { admins = ["ann@localhost"] }
  load "register" {}
  load "sm" {}
}

xdb "store" {
  host "*" {}
  badger { path = "xdb" }
}
