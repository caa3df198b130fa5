// Package clients holds no code of the proxy's. Its tests drive programs that
// people have, as they are installed, through a running sluice: curl, wget,
// git, apt, pip, npm, python, java, node, Go programs, openssl, skopeo and
// containerd's ctr.
//
// Each program runs on a host (a network namespace made by internal/lab) that
// has no way to the origin but through the relay, in an environment made for
// it alone: a home of its own, no settings and no proxy variables of the
// machine. A row passes when the program has got what it asked for byte for
// byte, the origin has seen nobody but the relay, and the relay's record names
// the protocol, host, port and bytes. Programs that are refused have to show
// their user what Sluice says, as far as they can.
package clients
