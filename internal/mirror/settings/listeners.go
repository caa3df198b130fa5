package settings

import (
	"fmt"

	"sluice/acl"
	"sluice/internal/config/sections"
	"sluice/internal/config/strict"
)

// listeners takes those of the flags, of the file, or the default one.
func (b *builder) listeners() {
	if b.flags.TLSSelf && b.flags.PlainHTTP {
		b.errs().Addf(strict.OnFlag("--plain-http"), "leave one of them out", "--plain-http and --tls-self cannot both be had")
	}
	list := b.file.Listener
	at := func(i int) strict.Where { return strict.InFile("listener", i) }
	switch {
	case len(b.flags.Listen) > 0:
		list = nil
		for _, address := range b.flags.Listen {
			list = append(list, fileListener{Address: address})
		}
		at = func(int) strict.Where { return strict.OnFlag("--listen") }
	case len(list) == 0:
		list = []fileListener{{Address: "127.0.0.1:5000"}}
		at = func(int) strict.Where { return strict.InFile("listener") }
	}
	for i, l := range list {
		b.listener(l, at(i))
	}
}

func (b *builder) listener(l fileListener, at strict.Where) {
	place := at.Sub("address")
	if l.Address == "" && at.Flag == "" {
		if !b.errs().Has(place) {
			b.errs().Addf(place, `write address = ":5000"`, "the listener has no address")
		}
		return
	}
	e, ok := b.addresses.Take("listener", l.Address, place)
	if !ok {
		return
	}
	out := Listener{Address: e.String(), TLS: strict.Choice(l.TLS, TLSOff, TLSSelf, TLSFiles), Certificate: l.Certificate, Key: l.Key, Names: l.Names, Login: l.Login}
	switch {
	case l.TLS != "" || b.errs().Has(at.Sub("tls")):
	case b.flags.TLSSelf:
		out.TLS = TLSSelf
	case !e.IsLoopback() && !b.flags.PlainHTTP:
		b.unsaid(e, l, at)
		return
	}
	b.certificate(l, out.TLS, at)
	if out.Login && out.TLS == TLSOff && !e.IsLoopback() {
		b.errs().Addf(at.Sub("login"), `write tls = "self", or "files" with a certificate`, "the listener %q asks for passwords, and they would pass over plain HTTP", e)
	}
	b.config.Listeners = append(b.config.Listeners, out)
}

// unsaid finds fault with a listener that other machines reach and that does not say
// whether they are to have TLS.
func (b *builder) unsaid(e sections.Endpoint, l fileListener, at strict.Where) {
	fix := `write tls = "self" for a certificate of the mirror's own CA, "files" for one that you have, or "off" for plain HTTP`
	switch {
	case at.Flag != "":
		fix = "add --tls-self for a certificate of the mirror's own CA, or --plain-http"
	case l.Certificate != "" || l.Key != "":
		fix = `write tls = "files"`
	}
	b.errs().Addf(at, fix, "the listener %q is for other machines, and does not say whether they are to have TLS", e)
}

// certificate holds keys against tls, with which they go.
func (b *builder) certificate(l fileListener, t TLS, at strict.Where) {
	for _, f := range []struct{ key, value, example string }{{"certificate", l.Certificate, "/etc/sluice/mirror.pem"}, {"key", l.Key, "/etc/sluice/mirror.key"}} {
		switch place := at.Sub(f.key); {
		case b.errs().Has(place):
		case t == TLSFiles && f.value == "":
			b.errs().Addf(place, fmt.Sprintf("write %s = %q, say", f.key, f.example), "the listener has tls = \"files\", but no %s", f.key)
		case t == TLSFiles:
			b.absolute(f.value, place, f.example)
		case f.value != "":
			b.errs().Addf(place, `write tls = "files", or take it out`, "%s goes with tls = \"files\" alone", f.key)
		}
	}
	if len(l.Names) > 0 && t != TLSSelf {
		b.errs().Addf(at.Sub("names"), `write tls = "self", or take it out`, "names go with tls = \"self\" alone")
		return
	}
	for i, name := range l.Names {
		if _, err := acl.ParseHost(name); err != nil && name != "" {
			b.errs().Addf(at.Sub("names", i), `write a host name or an address, such as "mirror.example.com"`, "%s is not the name of a host", strict.Show(name))
		}
	}
}

// transparent reads the CONNECT listener and what else may be tunnelled there.
func (b *builder) transparent() {
	t := b.file.Transparent
	at := strict.InFile("transparent", "address")
	if t.Address == "" {
		if len(t.Rule) > 0 && !b.errs().Has(at) {
			b.errs().Addf(strict.InFile("transparent", "rule"), `write address = "127.0.0.1:5002" in [transparent], or take the rules out`, "the transparent listener has rules, but no address")
		}
		return
	}
	e, ok := b.addresses.Take("transparent listener", t.Address, at)
	if !ok {
		return
	}
	b.tunnels = sections.Rules{Report: &b.report, At: strict.InFile("transparent", "rule"), Open: b.config.Open, Program: "mirror"}
	for i, r := range t.Rule {
		at := strict.InFile("transparent", "rule", i)
		if len(r.Users) > 0 {
			b.errs().Addf(at.Sub("users"), "take it out", "the transparent listener asks for no passwords")
			r.Users = nil
		}
		b.tunnels.AddTable(at, r)
	}
	policy := b.tunnels.Compile()
	b.config.Transparent = &Transparent{Address: e.String(), Rules: b.tunnels.List(), Policy: policy}
}
