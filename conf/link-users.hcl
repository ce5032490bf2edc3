# The server of jabberd.hcl, linked with another jabberd that has services for its
# users: here the components of conf/link-services.hcl, which run on a machine of
# their own.
#
# LINK_SECRET has 16 characters or more, the same on both sides.
#
#   LINK_SECRET=... jabberd run conf/link-users.hcl --var link_to=services.example.org:5270 --var link_ca=/etc/jabberd/ca.crt
#
# A message to "anyone@echo.localhost" goes over the link, in TLS; its sender gets
# his acknowledgement when the other server has taken it. While that server is away
# messages wait, up to a limit; then they bounce.

include "jabberd.hcl" {}

variable "link_to" {
  default     = "localhost:5270"
  description = "where the other server takes links"
}

variable "link_ca" {
  default     = "link/ca.crt"
  description = "the authority that has signed the other server's certificate; a relative path is below data_dir"
}

# A process of its own for the link: what happens there happens to nobody else, and
# if it dies, what the other server has not answered is handed over again.
normal "services" {
  host { label = "echo.${var.host}" }

  connect {
    process = "link"
    to      = var.link_to
    secret  = env("LINK_SECRET")
    native { ca = var.link_ca }
  }
}
