//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers for NUMBER.ZONE.test, over UDP and TCP on one port of
// loopback, in the way that the zone has.
type nameServer struct {
	addr netip.AddrPort
	udp  *net.UDPConn
	tcp  net.Listener
	wg   sync.WaitGroup
}

func serveNames() (*nameServer, error) {
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &nameServer{tcp: tcp, addr: tcp.Addr().(*net.TCPAddr).AddrPort()}
	if s.udp, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(s.addr)); err != nil {
		tcp.Close()
		return nil, err
	}
	s.wg.Go(s.serveUDP)
	s.wg.Go(s.serveTCP)
	return s, nil
}

func (s *nameServer) close() {
	s.udp.Close()
	s.tcp.Close()
	s.wg.Wait()
}

func (s *nameServer) serveUDP() {
	for {
		buf := make([]byte, 1500)
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		s.wg.Go(func() {
			if out := answer(buf[:n], false); out != nil {
				_, _ = s.udp.WriteToUDPAddrPort(out, from) // lost answers are part of life
			}
		})
	}
}

func (s *nameServer) serveTCP() {
	for {
		c, err := s.tcp.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			var size [2]byte
			if _, err := io.ReadFull(c, size[:]); err != nil {
				return
			}
			in := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(c, in); err != nil {
				return
			}
			out := answer(in, true)
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
		})
	}
}

// answer returns the answer to a query, or nil for none.
func answer(query []byte, tcp bool) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	h := dnsmessage.Header{ID: head.ID, Response: true, RecursionAvailable: true}
	addrs, ok := resolve(q, &h)
	if !ok {
		return nil
	}
	b := dnsmessage.NewBuilder(nil, h)
	// The builder fails only where it is called out of order, or where the name
	// that it took apart cannot be put together again.
	_ = b.StartQuestions()
	_ = b.Question(q)
	_ = b.StartAnswers()
	if len(addrs) > 25 && !tcp {
		h.Truncated = true
		b = dnsmessage.NewBuilder(nil, h)
		_ = b.StartQuestions()
		_ = b.Question(q)
		addrs = nil
	}
	for _, a := range addrs {
		r := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1}
		if a.Is4() {
			_ = b.AResource(r, dnsmessage.AResource{A: a.As4()})
		} else {
			_ = b.AAAAResource(r, dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	out, err := b.Finish()
	if err != nil {
		return nil
	}
	return out
}

// resolve returns the addresses of a name, all of the family that is asked for,
// and puts into h what is to be said besides; ok is false where nothing is said.
func resolve(q dnsmessage.Question, h *dnsmessage.Header) (addrs []netip.Addr, ok bool) {
	number, zone, err := parseName(q.Name.String())
	if err != nil {
		h.RCode = dnsmessage.RCodeNameError
		return nil, true
	}
	own := addrOf(number)
	six := q.Type == dnsmessage.TypeAAAA
	switch zone {
	case zoneSilent, zoneAbandoned:
		return nil, false
	case zoneServfail:
		h.RCode = dnsmessage.RCodeServerFailure
		return nil, true
	case zoneMissing:
		h.RCode = dnsmessage.RCodeNameError
		return nil, true
	case zoneLate:
		time.Sleep(400 * time.Millisecond)
	case zoneInside:
		own = netip.AddrFrom4([4]byte{10, 0, byte(number >> 8), byte(number)})
	case zoneMany:
		if six {
			return []netip.Addr{netip.IPv6Loopback()}, true // nobody listens there
		}
		for i := range 200 {
			addrs = append(addrs, netip.AddrFrom4([4]byte{10, 1, 1, byte(i)})) // must not be dialled
		}
	case zoneLong:
		for range 40 {
			addrs = append(addrs, own)
		}
	}
	if six {
		return nil, true
	}
	return append(addrs, own), true
}

func parseName(name string) (number uint32, zone string, err error) {
	labels := strings.Split(strings.ToLower(strings.TrimSuffix(name, ".")), ".")
	if len(labels) != 3 || labels[2] != "test" {
		return 0, "", fmt.Errorf("%q is no name of this load", name)
	}
	n, err := strconv.ParseUint(labels[0], 10, 32)
	return uint32(n), labels[1], err
}
