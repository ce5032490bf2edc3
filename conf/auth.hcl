# The server of jabberd.hcl, with accounts that a program knows: it is asked who
# is there and whether a password is right. All else is kept as before.
#
#   jabberd run conf/auth.hcl --var accounts=/etc/jabberd/accounts
#
# For a directory, "ldap" stands where "exec" does: see xdb/ldap/README.md.

variable "accounts" {
  default     = "accounts"
  description = "a file with a line NAME:PASSWORD for each account"
}

variable "program" {
  default     = ["python3", "conf/auth.py"]
  description = "the program that is asked"
}

# Of two stores that take a namespace the first in the file owns it, so that this
# stands before the store of jabberd.hcl.
xdb "accounts" {
  host "*" {}
  filter { namespaces = ["auth"] }

  exec {
    command = concat(var.program, [var.accounts])
    form    = "json"
  }
}

include "jabberd.hcl" {}
