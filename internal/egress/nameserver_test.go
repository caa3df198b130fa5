package egress

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// reply is what the name server of a test says to one question.
type reply struct {
	rcode  dnsmessage.RCode
	alias  string   // a CNAME ahead of the addresses
	addrs  []string // those of the question's family are put in
	silent bool
	lie    func(h *dnsmessage.Header, q *dnsmessage.Question) // changes what is answered to
	cut    bool                                               // over UDP: truncated and empty
	after  time.Duration                                      // before it is sent
}

// nameserver answers over UDP and TCP on one loopback port.
type nameserver struct {
	addr   netip.AddrPort
	answer func(q question) reply

	mu   sync.Mutex
	seen []question
}

type question struct {
	name string // with the trailing dot, lower case
	typ  dnsmessage.Type
	tcp  bool
	nth  int // 0 for the first question of this type
}

// serveNames starts a name server for the time of the test.
func serveNames(t testing.TB, answer func(question) reply) *nameserver {
	t.Helper()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := tcp.Addr().(*net.TCPAddr).AddrPort()
	udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	s := &nameserver{addr: addr, answer: answer}
	var wg sync.WaitGroup
	wg.Go(func() { s.serveUDP(udp, &wg) })
	wg.Go(func() { s.serveTCP(tcp, &wg) })
	t.Cleanup(func() {
		_ = tcp.Close()
		_ = udp.Close()
		wg.Wait()
	})
	return s
}

// serveAddrs starts a name server that has the same addresses for every name.
func serveAddrs(t testing.TB, addrs ...string) *nameserver {
	return serveNames(t, func(question) reply { return reply{addrs: addrs} })
}

// asked returns the questions of one type.
func (s *nameserver) asked(typ dnsmessage.Type) []question {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []question
	for _, q := range s.seen {
		if q.typ == typ {
			list = append(list, q)
		}
	}
	return list
}

func (s *nameserver) serveUDP(c *net.UDPConn, wg *sync.WaitGroup) {
	for {
		buf := make([]byte, 1500)
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		wg.Go(func() {
			if out := s.handle(buf[:n], false); out != nil {
				_, _ = c.WriteToUDPAddrPort(out, from)
			}
		})
	}
}

func (s *nameserver) serveTCP(l net.Listener, wg *sync.WaitGroup) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer c.Close()
			var size [2]byte
			if _, err := io.ReadFull(c, size[:]); err != nil {
				return
			}
			in := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(c, in); err != nil {
				return
			}
			if out := s.handle(in, true); out != nil {
				_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
			}
			_, _ = io.Copy(io.Discard, c) // the client hangs up
		})
	}
}

func (s *nameserver) handle(in []byte, tcp bool) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(in)
	if err != nil {
		return nil
	}
	asked, err := p.Question()
	if err != nil {
		return nil
	}
	s.mu.Lock()
	q := question{name: strings.ToLower(asked.Name.String()), typ: asked.Type, tcp: tcp}
	for _, before := range s.seen {
		if before.typ == q.typ {
			q.nth++
		}
	}
	s.seen = append(s.seen, q)
	s.mu.Unlock()

	r := s.answer(q)
	time.Sleep(r.after)
	if r.silent {
		return nil
	}
	cut := !tcp && (r.cut || len(r.addrs) > 25)
	head := dnsmessage.Header{ID: h.ID, Response: true, RecursionAvailable: true, RCode: r.rcode, Truncated: cut}
	if r.lie != nil {
		r.lie(&head, &asked)
	}
	b := dnsmessage.NewBuilder(nil, head)
	_ = b.StartQuestions()
	_ = b.Question(asked)
	_ = b.StartAnswers()
	if !cut {
		addRecords(&b, asked, r)
	}
	out, err := b.Finish()
	if err != nil {
		return nil
	}
	return out
}

func addRecords(b *dnsmessage.Builder, q dnsmessage.Question, r reply) {
	h := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1}
	if r.alias != "" {
		to := dnsmessage.MustNewName(r.alias)
		_ = b.CNAMEResource(h, dnsmessage.CNAMEResource{CNAME: to})
		h.Name = to
	}
	for _, text := range r.addrs {
		a := netip.MustParseAddr(text)
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			_ = b.AResource(h, dnsmessage.AResource{A: a.As4()})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			_ = b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
}

// names returns the names that were asked for, each once.
func (s *nameserver) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, q := range s.seen {
		if !slices.Contains(list, q.name) {
			list = append(list, q.name)
		}
	}
	return list
}
