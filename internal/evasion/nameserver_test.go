//go:build linux

package evasion

import (
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"sluice/internal/lab"
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
	s := new(nameserver)
	s.answers(func(string, int) []string { return []string{public} })
	s.addr = lab.NameServer(t, func(m *dnsmessage.Message) bool {
		q := m.Questions[0]
		for _, addr := range s.reply(question{strings.TrimSuffix(strings.ToLower(q.Name.String()), "."), q.Type}) {
			lab.Has(m, netip.MustParseAddr(addr))
		}
		return true
	})
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
