//go:build linux

package upstream

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"sluice/internal/egress"
)

// namers are the ways in which an upstream can name a host to its client.
func namers() map[string]func(w *world, t *testing.T, to string) *site {
	return map[string]func(w *world, t *testing.T, to string) *site{
		"redirect": func(w *world, t *testing.T, to string) *site {
			return w.serve(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, to+"/x", http.StatusTemporaryRedirect)
			})
		},
		"token server": func(w *world, t *testing.T, to string) *site {
			return w.serve(t, bearer(to+"/token", says("manifest")))
		},
	}
}

// inside are spellings of hosts that are not public, of which 127.0.0.2 has a
// server that would answer.
func inside(s *site) map[string]string {
	return map[string]string{
		"address":             s.url(forbidden.String()),
		"name":                s.url(insideName),
		"short address":       s.url("127.2"),
		"hexadecimal address": s.url("0x7f000002"),
		"mapped address":      s.url("::ffff:127.0.0.2"),
		"localhost":           s.url("localhost"),
		"below localhost":     s.url("a.localhost"),
		"metadata":            "https://169.254.169.254",
		"metadata by http":    "https://169.254.169.254:80",
		"unspecified":         s.url("0.0.0.0"),
		"NAT64":               s.url("64:ff9b::7f00:2"),
	}
}

func TestAnUpstreamLeadsToNoAddressInside(t *testing.T) {
	for how, names := range namers() {
		w := newWorld(t)
		target := w.serveOn(t, "https", forbidden, gives("the-token"))
		for name, to := range inside(target) {
			if strings.Contains(name, "localhost") {
				continue // /etc/hosts has it at 127.0.0.1, which the sites of these tests need
			}
			t.Run(how+" to "+name, func(t *testing.T) {
				r := w.open(t, names(w, t, to).url(registryName))
				fails(t, r, blob(Anonymous()), Refused)
				target.wantNothing(t)
			})
		}
	}
}

func TestTheUpstreamItselfIsVetted(t *testing.T) {
	w := newWorld(t)
	target := w.serveOn(t, "https", forbidden, says("x"))
	for _, host := range []string{forbidden.String(), insideName} {
		r := w.open(t, target.url(host))
		fails(t, r, manifest(Anonymous()), Refused)
	}
	target.wantNothing(t)
	// The operator says otherwise.
	o := w.options(t, target.url(insideName))
	o.Dialer.AllowPrivate = append(o.Dialer.AllowPrivate, netip.PrefixFrom(forbidden, 32))
	get(t, open(t, o), manifest(Anonymous()))
}

// A name that is public when it is looked at, and is not when it is dialled, is the
// old trick. There is no time between the two here: what was vetted is dialled.
func TestANameThatChangesItsAddressIsVettedEachTime(t *testing.T) {
	w := newWorld(t)
	target := w.serveOn(t, "https", forbidden, says("inside"))
	registry := w.serve(t, func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "manifests") {
			fmt.Fprint(rw, "manifest")
			return
		}
		// By now the name means another address.
		w.names.set(otherName, forbidden)
		http.Redirect(rw, r, target.url(otherName), http.StatusFound)
	})
	r := w.open(t, registry.url(otherName))
	get(t, r, manifest(Anonymous()))
	fails(t, r, blob(Anonymous()), Refused)
	target.wantNothing(t)
}

func TestTheMirrorItselfIsNeverDialled(t *testing.T) {
	w := newWorld(t)
	mirror := w.serve(t, says("itself"))
	o := w.options(t, mirror.url(registryName))
	o.Dialer.Own = egress.OwnAddrs([]netip.AddrPort{mirror.addr})
	fails(t, open(t, o), manifest(Anonymous()), Refused)
	mirror.wantNothing(t)
}

// That a host refuses is told at once and costs nobody a wait: the breaker has no
// part in it.
func TestARefusedHostIsNotTakenForOneThatIsAway(t *testing.T) {
	w := newWorld(t)
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://169.254.169.254/", http.StatusFound)
	})
	r := w.open(t, registry.url(registryName))
	for range 2 * faultsToOpen {
		fails(t, r, blob(Anonymous()), Refused)
	}
}
