# Several hosts in one server, each with its own users, settings, certificate and
# storage. A further host is one more service section; what hosts share, they
# name in one section: host "a.example" {} host "b.example" {}.
#
#   jabberd run conf/hosts.hcl --var host=example.org --var other_host=example.net

variable "host" {
  default     = "localhost"
  description = "the host of everybody"
}

variable "other_host" {
  default     = "company.localhost"
  description = "the host of a company, whose data is kept apart"
}

variable "c2s_port" {
  default     = 5222
  description = "for clients that begin in the clear and go on with STARTTLS"
}

variable "c2s_tls_port" {
  default     = 5223
  description = "for clients that begin with TLS"
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

# Connections of the clients of all hosts. Each host is shown the certificate
# that is for it: NAME.crt and NAME.key in the folder, which are read again when
# they change. Hosts without one get one that they have signed themselves.
session "c2s" {
  # Or have them issued, and renewed, by Let's Encrypt:
  # load "acme" {
  #   hosts        = [var.host, var.other_host]
  #   email        = "admin@example.org"
  #   terms_agreed = true
  # }

  load "c2s" {
    listen = ":${var.c2s_port}"

    tls {
      listen = ":${var.c2s_tls_port}"
      folder = "certs" # of certbot: /etc/letsencrypt/live

      # Or by name:
      # certificate "example.net" {
      #   cert = "/etc/ssl/example.net.crt"
      #   key  = "/etc/ssl/example.net.key"
      # }
    }
  }
}

service "everybody" {
  host { label = var.host }

  load "sm" {
    offline { max = 100 }
  }
}

service "company" {
  host { label = var.other_host }

  load "sm" {
    durability = "disk"

    offline { max = 5000 }
  }
}

# The company's data is in a store of its own.
xdb "company-store" {
  host { label = var.other_host }
  cache { ttl = "10m" }
  badger { path = "company" }
}

xdb "store" {
  host "*" {}
  cache { ttl = "10m" }
  badger { path = "xdb" }
}

log "everything" {
  host "*" {}
  filter { level = "info" }
  format {}
  file { path = "log/jabberd.log" }
}
