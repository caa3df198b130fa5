// Package endtoend holds no code of the proxy's. Its tests start a whole server
// in their own process, on loopback, with a name server and origins that they
// play themselves, and look at it from outside: what a client gets on the wire,
// how its connection ends, and the record that stands in the log.
//
// Every story is told for each way in (CONNECT, absolute-form, SOCKS5), for what
// holds for one has to hold for all.
package endtoend
