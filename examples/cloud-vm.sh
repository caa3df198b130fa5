#!/bin/sh
# A relay on a cloud VM, in one command:
#
#   sh cloud-vm.sh 203.0.113.7/32      # FILL IN: the address of your Docker host
#
# lets the Docker host with that address (as the VM sees it: behind NAT, the
# address of the NAT) through to Docker Hub, until Ctrl-C. What follows the
# address goes to sluice as it is:
#
#   sh cloud-vm.sh 203.0.113.7/32 --to @ghcr --rate 20MB/s
#
# SLUICE in the environment says where the binary is, if it is not in PATH.
# Let TCP port 3128 in from that address, in the cloud's firewall too. To have
# the relay back after a reboot, use sluice.service instead.
set -eu

case ${1-} in
'' | -*)
	echo "usage: $0 CLIENT [OPTION OF SLUICE SERVE]..." >&2
	echo "CLIENT is the address or network to let through, as in 203.0.113.7/32" >&2
	exit 2
	;;
esac
client=$1
shift

sluice=${SLUICE:-sluice}
if ! command -v "$sluice" >/dev/null; then
	echo "$0: there is no $sluice in PATH; say SLUICE=/path/to/sluice" >&2
	exit 1
fi

exec "$sluice" serve --allow "$client" --to @docker-hub "$@"
