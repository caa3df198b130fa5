// Package attacks holds no code of the proxy's. Its tests set tools that Debian
// has on a running sluice: slowhttptest, which starves servers; nmap, whose
// scripts look for open proxies and try passwords; and proxychains4, ncat, nc,
// openssl and curl, each by every form of proxy that it knows.
//
// All of it happens on hosts of internal/lab, whose packets lead nowhere. There
// are a client that the proxy's rules admit, one that is admitted with a
// password, and a stranger.
package attacks
