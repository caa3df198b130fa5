//go:build linux

package endtoend

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
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
	t.Helper()
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { pc.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if reply := dnsAnswer(b[:n]); reply != nil {
				pc.WriteToUDPAddrPort(reply, from)
			}
		}
	}()
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}

// dnsAnswer makes the answer to a question, nil for none.
func dnsAnswer(query []byte) []byte {
	var q dnsmessage.Message
	if q.Unpack(query) != nil || len(q.Questions) != 1 {
		return nil
	}
	asked := q.Questions[0]
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, RecursionAvailable: true}, Questions: q.Questions}
	name := strings.TrimSuffix(asked.Name.String(), ".")
	addr, known := zone[name]
	switch {
	case name == nameSilent:
		return nil
	case name == nameBroken:
		m.RCode = dnsmessage.RCodeServerFailure
	case known && asked.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: asked.Name, Class: dnsmessage.ClassINET, TTL: 1},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(addr).As4()},
		}}
	case !known && name != nameEmpty:
		m.RCode = dnsmessage.RCodeNameError
	}
	reply, err := m.Pack()
	if err != nil {
		return nil
	}
	return reply
}

// closedPort is an address where nobody listens.
func closedPort(t testing.TB) netip.AddrPort {
	ln := listen(t)
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// blackHole is an address whose listener has no place left, so that the kernel
// drops every SYN to it.
func blackHole(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil { // room for one
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*syscall.SockaddrInet4).Port))
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return at
}
