# The server of conf/jabberd.hcl in short, where anybody may have an account, and
# keys are kept apart from the rest.

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
    listen       = "127.0.0.1:${var.c2s_port}"
    registration = ["localhost"]
    tls { listen = "127.0.0.1:${var.c2s_tls_port}" }
  }
}

service "users" {
  host "localhost" {}
  load "vcard" {}
  load "private" {}
  load "register" { who = "anybody" }
  load "sm" {}
}

xdb "keys" {
  host "*" {}
  filter { namespaces = ["auth", "sasl"] }
  file { path = "keys" }
}

xdb "store" {
  host "*" {}
  cache {}
  badger { path = "xdb" }
}
