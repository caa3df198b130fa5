//go:build linux

package endtoend

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"sluice/internal/lab"
)

// play serves every connection to a new origin by a function, which closes it.
func play(t testing.TB, serve func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	ln := listen(t)
	var wg sync.WaitGroup
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(patience))
			wg.Go(func() { serve(c) })
		}
	})
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// answers is what an origin sends to whatever it is sent first.
func answers(answer string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		defer c.Close()
		b := make([]byte, 4096)
		for {
			if _, err := c.Read(b); err != nil {
				return
			}
			c.Write([]byte(answer))
		}
	}
}

// The names that the name server knows, all else does not exist.
const (
	nameInside = "inside.test" // an address that is not public
	nameHere   = "here.test"   // 127.0.0.1
	nameDenied = "denied.test" // 127.0.0.9
	nameEmpty  = "empty.test"  // it exists, and has no address
	nameBroken = "broken.test" // the name server fails
	nameSilent = "silent.test" // the name server says nothing
	nameless   = "nowhere.test"
)

var zone = map[string]string{nameInside: "10.20.30.40", nameHere: "127.0.0.1", nameDenied: "127.0.0.9"}

// nameServer answers questions over UDP, as zone and the names tell.
func nameServer(t testing.TB) netip.AddrPort {
	return lab.NameServer(t, func(m *dnsmessage.Message) bool {
		name := strings.TrimSuffix(m.Questions[0].Name.String(), ".")
		addr, known := zone[name]
		switch {
		case name == nameSilent:
			return false
		case name == nameBroken:
			m.RCode = dnsmessage.RCodeServerFailure
		case known:
			lab.Has(m, netip.MustParseAddr(addr))
		case name != nameEmpty:
			m.RCode = dnsmessage.RCodeNameError
		}
		return true
	})
}

// closedPort is an address where nobody listens.
func closedPort(t testing.TB) netip.AddrPort {
	ln := listen(t)
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// blackHole is an address where connecting neither works nor fails.
func blackHole(t testing.TB) netip.AddrPort {
	at, _ := lab.Full(t)
	return at
}
