//go:build linux

package evasion

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// question is what the name server was asked, the name in lower case and without
// the last dot.
type question struct {
	name string
	typ  dnsmessage.Type
}

// nameserver answers over UDP on a loopback port.
type nameserver struct {
	addr netip.AddrPort

	mu     sync.Mutex
	answer func(name string, nth int) []string // addresses of both families; nth of this question from 0
	asked  []question
}

// public is what names resolve to unless a test says otherwise.
const public = "93.184.215.14"

func serveNames(t *testing.T) *nameserver {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &nameserver{addr: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
	s.answers(func(string, int) []string { return []string{public} })
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if out := s.handle(buf[:n]); out != nil {
				_, _ = conn.WriteToUDPAddrPort(out, from)
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return s
}

// answers sets what is answered from now on, and forgets what was asked.
func (s *nameserver) answers(f func(name string, nth int) []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.asked = f, nil
}

// take returns the questions since the last call.
func (s *nameserver) take() []question {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.asked
	s.asked = nil
	return list
}

func (s *nameserver) handle(in []byte) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(in)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: head.ID, Response: true, RecursionAvailable: true})
	_ = b.StartQuestions()
	_ = b.Question(q)
	_ = b.StartAnswers()
	to := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}
	for _, text := range s.reply(question{strings.TrimSuffix(strings.ToLower(q.Name.String()), "."), q.Type}) {
		switch a := netip.MustParseAddr(text); {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			_ = b.AResource(to, dnsmessage.AResource{A: a.As4()})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			_ = b.AAAAResource(to, dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	out, err := b.Finish()
	if err != nil {
		return nil
	}
	return out
}

func (s *nameserver) reply(q question) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	nth := 0
	for _, before := range s.asked {
		if before == q {
			nth++
		}
	}
	s.asked = append(s.asked, q)
	return s.answer(q.name, nth)
}
