#!/bin/sh
# Sends many messages to $PEER when it is told to, and counts what it reads, but
# not at the same time. It does not end when it is asked to.
trap '' TERM
filler=$(printf '%0500d' 0)
got=0
while read -r line; do
	case $line in
	*go*)
		n=0
		while [ $n -lt 1000 ]; do
			echo "<message to='$PEER'><x>$filler</x></message>"
			n=$((n + 1))
		done
		;;
	*count*) echo "<message to='ann@example.org'><got>$got</got></message>" ;;
	*) got=$((got + 1)) ;;
	esac
done
