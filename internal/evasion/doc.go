// Package evasion holds no code of the proxy's. Its tests try to get around a
// rule: by spelling a host differently, by names that change where they lead, by
// way of the proxy's own addresses, by leaving credentials away. They start a
// whole server in a network namespace of their own in which every address of the
// world, 169.254.169.254 too, is this machine, so that a way around would be
// found open and not only unroutable, and count what the kernel has dialled.
//
// Every case is put to each way in (CONNECT, absolute-form, SOCKS5) that can
// spell it, and must mean the same for all.
package evasion
