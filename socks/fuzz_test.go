package socks

import (
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/lab"
	"sluice/internal/track"
)

// spoken is what a client's bytes mean by RFC 1928, read in the plainest way.
type spoken struct {
	whole   bool // a request is complete and well formed
	command byte
	host    acl.Host
	hostOK  bool
	port    uint16
}

func readPlainly(b []byte) (s spoken) {
	if len(b) < 2 || b[0] != 5 || len(b) < 2+int(b[1]) || !slices.Contains(b[2:2+int(b[1])], 0) {
		return s
	}
	b = b[2+int(b[1]):]
	if len(b) < 5 || b[0] != 5 {
		return s
	}
	s.command = b[1]
	size := map[byte]int{1: 4, 3: 1 + int(b[4]), 4: 16}[b[3]]
	if size == 0 || len(b) < 4+size+2 {
		return s
	}
	s.whole = true
	text := string(b[5 : 4+size])
	if b[3] != 3 {
		a, _ := netip.AddrFromSlice(b[4 : 4+size])
		text = a.Unmap().String()
	}
	h, err := acl.ParseHost(text)
	s.host, s.hostOK = h, err == nil
	s.port = binary.BigEndian.Uint16(b[4+size:])
	return s
}

// FuzzRequest holds what the rules are asked about against what the client's
// bytes mean: another destination must never be decided about, nor none.
func FuzzRequest(f *testing.F) {
	hello := []byte{5, 1, 0}
	for _, request := range [][]byte{
		name("example.com", 443), name("EXAMPLE.com.", 80), name("127.1", 80), name("", 80), name("a", 0), name("::1", 80), name("[::1]", 80),
		addr(netip.MustParseAddr("192.0.2.1"), 80), addr(netip.MustParseAddr("2001:db8::1"), 443), addr(netip.MustParseAddr("::ffff:192.0.2.1"), 443),
		addr(netip.IPv4Unspecified(), 1), {5, 2, 0, 1, 1, 2, 3, 4, 0, 80}, {5, 3, 0, 1, 1, 2, 3, 4, 0, 80}, {5, 1, 9, 2, 1}, {4, 1, 0, 80, 1, 2, 3, 4, 0},
	} {
		f.Add(slices.Concat(hello, request))
		f.Add(slices.Concat([]byte{5, 3, 2, 1, 0}, request, []byte("GET / HTTP/1.1\r\n\r\n")))
	}
	nobody, err := acl.New(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		if len(sent) == 0 || len(sent) > 4096 {
			return
		}
		r := serveOnce(t, nobody, sent)
		want := readPlainly(sent)
		if decided := r.Decision != ""; decided != (want.whole && want.command == 1 && want.hostOK && want.port != 0) {
			t.Fatalf("% x means %+v: %+v", sent, want, r)
		}
		if r.Decision != "" && (r.Host != want.host.String() || r.Port != want.port || r.Outcome != "rule_denied") {
			t.Fatalf("% x means %s, port %d; decided about %s, port %d: %+v", sent, want.host, want.port, r.Host, r.Port, r)
		}
	})
}

// serveOnce returns the record of a session in which a client sends this and
// then nothing more.
func serveOnce(t *testing.T, p *acl.Policy, sent []byte) track.Record {
	t.Helper()
	var records []track.Record
	policy := &gate.Policy{ACL: p, Handshake: 10 * time.Second, Dialer: &egress.Dialer{}}
	h := &Handler{Gate: gate.New(policy, func(r *track.Record) { records = append(records, *r) })}
	conn, client := lab.Connected(t)
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	h.Serve(conn, sent, gate.Source{Client: netip.MustParseAddrPort("192.0.2.9:1")}, time.Now())
	_, _ = io.Copy(io.Discard, client) // a reset is an end as well
	if len(records) != 1 {
		t.Fatalf("%d records: %+v", len(records), records)
	}
	return records[0]
}
