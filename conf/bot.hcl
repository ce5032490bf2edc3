# The server of jabberd.hcl, with a bot: a program in any language that reads
# packets from its standard input and writes its own to its standard output.
#
#   jabberd run conf/bot.hcl
#
# Who writes to echo@bot.localhost is answered by conf/bot.py.

include "jabberd.hcl" {}

variable "bot" {
  default     = ["python3", "conf/bot.py"]
  description = "the program of the bot and its arguments"
}

normal "bot" {
  host { label = "bot.${var.host}" }
  exec { command = var.bot }
}
