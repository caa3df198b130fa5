package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// shareDNS is what all look-ups of a name may take together.
const shareDNS, mostDNS = 5, 6 * time.Second

// dns resolves a name as programs do, and asks each name server by itself
// meanwhile. An address literal is its own answer.
func (r *run) dns(ctx context.Context, w wayName, host, entry string) []netip.Addr {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}
	}
	s := r.begin(w, entry, stepDNS)
	ctx, cancel := r.bound(ctx, shareDNS, mostDNS)
	defer cancel()
	servers := r.System.nameservers()
	s.Resolvers = make([]Resolver, len(servers))
	var group sync.WaitGroup
	for i, server := range servers {
		group.Go(func() { s.Resolvers[i] = askServer(ctx, server, host) })
	}
	addrs, err := lookup(ctx, net.DefaultResolver, host)
	took := time.Since(s.began)
	group.Wait()
	s.Resolvers = slices.DeleteFunc(s.Resolvers, func(a Resolver) bool { return a.Resolver == "" })
	if err != nil {
		r.end(s, lookupOutcome(err), sentenceOf(err, took))
		return nil
	}
	if len(addrs) > maxAddresses {
		addrs = addrs[:maxAddresses]
	}
	sentence := fmt.Sprintf("%d addresses, %s", len(addrs), short(took))
	if len(addrs) == 1 {
		sentence = fmt.Sprintf("%s, %s", addrs[0], short(took))
	}
	for _, a := range s.Resolvers {
		if a.Outcome != OK {
			sentence += fmt.Sprintf("; %s: %s", a.Resolver, words[a.Outcome])
		}
	}
	r.end(s, OK, sentence)
	return addrs
}

// lookup returns the addresses of a name, each once, IPv4 first.
func lookup(ctx context.Context, from *net.Resolver, host string) ([]netip.Addr, error) {
	found, err := from.LookupNetIP(ctx, "ip", host)
	for i := range found {
		found[i] = found[i].Unmap()
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return slices.Compact(found), err
}

// askServer asks one name server. The zero value: the hosts file had the name, and
// the server was not asked.
func askServer(ctx context.Context, server, host string) Resolver {
	var mu sync.Mutex
	asked := false
	began := time.Now()
	addrs, err := lookup(ctx, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		mu.Lock()
		asked = true
		mu.Unlock()
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(server, "53"))
	}}, strings.TrimSuffix(host, ".")+".")
	mu.Lock()
	defer mu.Unlock()
	if !asked {
		return Resolver{}
	}
	a := Resolver{Resolver: server, Outcome: lookupOutcome(err), Milliseconds: milliseconds(time.Since(began))}
	for _, found := range addrs {
		a.Addresses = append(a.Addresses, found.String())
	}
	return a
}

// lookupOutcome tells silence from an answer that there is no such name: for the
// Go resolver a server that cannot be reached is a timeout or a failure.
func lookupOutcome(err error) Outcome {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return NoName
	case errors.As(err, &dns) && dns.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	case err != nil:
		return DNSFailed
	}
	return OK
}
