#!/bin/sh
# Says again what it reads, to whoever wrote it: each packet is one line.
echo "notice: begins" >&2
trap 'echo "info: is asked to end" >&2; exit 0' TERM
while read -r line; do
	case $line in
	*die*) kill -9 $$ ;;
	*broken*) echo '<message to="a@b"><body></message>' ;;
	*many*)
		n=0
		while [ $n -lt 3000 ]; do
			echo "<message to='ann@example.org' from='bot.example.org'><n>$n</n></message>"
			n=$((n + 1))
		done
		;;
	*forge*) echo "<message to='ann@example.org' from='else.example.net'/><message to='@' from='bot.example.org'/>" ;;
	*child*) sleep 1000 & echo "<message to='ann@example.org' id='$!'/>" ;;
	*) echo "$line" | sed "s/ to='\([^']*\)' from='\([^']*\)'/ to='\2' from='\1'/" ;;
	esac
done
