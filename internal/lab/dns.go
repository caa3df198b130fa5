//go:build linux

package lab

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// DNS is a name server in the lab that remembers what it was asked.
type DNS struct {
	mu      sync.Mutex
	names   map[string][]netip.Addr
	queries []string
}

// ServeDNS runs a name server on the host, port 53 (UDP), and makes it the one
// that every host asks for names which the hosts file does not have.
func (n *Net) ServeDNS(t testing.TB, h *Host) *DNS {
	t.Helper()
	d := &DNS{names: make(map[string][]netip.Addr)}
	c := h.ListenPacket(t, "udp", net.JoinHostPort(h.Addr().String(), "53"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.serve(c)
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	// Rewritten in place: running commands have this very file bound.
	conf := "nameserver " + h.Addr().String() + "\noptions timeout:2 attempts:2\n"
	if err := os.WriteFile(n.path("resolv.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	return d
}

// Name lets the server answer addrs for a name. All other names do not exist.
func (d *DNS) Name(name string, addrs ...netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[name] = append(d.names[name], addrs...)
}

// Queries are the names asked for so far, one entry for each question, in lower
// case and without the last dot.
func (d *DNS) Queries() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.queries...)
}

func (d *DNS) serve(c net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		size, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer, err := d.answer(buf[:size]); err == nil {
			_, _ = c.WriteTo(answer, from)
		}
	}
}

func (d *DNS) answer(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	question, err := p.Question()
	if err != nil {
		return nil, err
	}
	name := strings.ToLower(strings.TrimSuffix(question.Name.String(), "."))
	d.mu.Lock()
	d.queries = append(d.queries, name)
	addrs, known := d.names[name]
	d.mu.Unlock()

	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: head.ID, Response: true, Authoritative: true, RecursionDesired: head.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addrs {
		r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 1}}
		switch {
		case a.Is4() && question.Type == dnsmessage.TypeA:
			r.Body = &dnsmessage.AResource{A: a.As4()}
		case a.Is6() && question.Type == dnsmessage.TypeAAAA:
			r.Body = &dnsmessage.AAAAResource{AAAA: a.As16()}
		default:
			continue
		}
		m.Answers = append(m.Answers, r)
	}
	return m.Pack()
}
