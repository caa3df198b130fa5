#!/bin/sh
# Does the relay help? Asks for each URL twice, straight and through the proxy,
# and says what came of it:
#
#   sh check.sh http://relay.example.internal:3128
#   sh check.sh socks5h://relay.example.internal:1080 https://example.com/
#
# Without URLs it asks for the hosts of a pull from Docker Hub. Any answer of a
# host counts, 401 and 404 too: it shows that the host can be reached. Ends
# with 0 if all of them can, through the proxy.
set -u

if [ $# -eq 0 ]; then
	echo "usage: $0 PROXY [URL]..." >&2
	exit 2
fi
proxy=$1
shift
if [ $# -eq 0 ]; then
	set -- https://registry-1.docker.io/v2/ \
		https://auth.docker.io/token \
		https://production.cloudfront.docker.com/ \
		https://production.cloudflare.docker.com/
fi

if ! command -v curl >/dev/null; then
	echo "$0: curl is not installed" >&2
	exit 1
fi
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# ask OPTION... URL: prints what came of one request; fails if the host did not
# answer.
ask() {
	: >"$tmp/head"
	if answer=$(curl --silent --show-error --output /dev/null --dump-header "$tmp/head" \
		--connect-timeout 10 --max-time 30 \
		--write-out '%{http_code} in %{time_total} s' "$@" 2>"$tmp/error"); then
		refused || { echo "reached, answer $answer"; return 0; }
	elif ! refused; then
		echo "not reached: $(cat "$tmp/error")"
	fi
	return 1
}

# refused: prints the proxy's sentence if the answer is the proxy's own. It
# stands in the status line, and a Proxy-Status (RFC 9209) of Sluice's names an
# error.
refused() {
	grep -qi '^proxy-status: *sluice;.*error=' "$tmp/head" || return 1
	echo "refused by the proxy: $(sed -n '1s/^HTTP[^ ]* //p' "$tmp/head" | tr -d '\r')"
}

failed=0
for url in "$@"; do
	echo "$url"
	printf '  direct:  '
	ask --noproxy '*' "$url"
	printf '  proxied: '
	ask --noproxy '' --proxy "$proxy" "$url" || failed=1
done
exit $failed
