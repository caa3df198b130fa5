package config

import "sluice/internal/config/strict"

// listeners takes those of the flags, of the file, or the default ones.
func (b *builder) listeners() {
	type source struct {
		address string
		Protocol
		at strict.Where
	}
	var list []source
	for i, l := range b.file.Listener {
		list = append(list, source{l.Address, strict.Choice(l.Protocol, Auto, HTTP, SOCKS5), strict.InFile("listener", i, "address")})
	}
	if len(b.flags.Listen) > 0 {
		list = nil
	}
	for _, a := range b.flags.Listen {
		list = append(list, source{a, Auto, strict.OnFlag("--listen")})
	}
	if len(list) == 0 {
		list = []source{{":3128", Auto, strict.InFile("listener")}, {":1080", SOCKS5, strict.InFile("listener")}}
	}
	for _, l := range list {
		if l.address == "" && l.at.Flag == "" {
			if !b.report.Errors.Has(l.at) {
				b.report.Errors.Addf(l.at, `write address = ":3128"`, "the listener has no address")
			}
			continue
		}
		if e, ok := b.addresses.Take("listener", l.address, l.at); ok {
			b.config.Listeners = append(b.config.Listeners, Listener{e.String(), l.Protocol})
		}
	}
}

// admin takes the flag, the file's address or the default one. It comes after
// the listeners.
func (b *builder) admin() {
	address, at := b.file.Admin.Address, strict.InFile("admin", "address")
	if b.flags.Admin != nil {
		address, at = *b.flags.Admin, strict.OnFlag("--admin")
	}
	if address == "" || b.flags.Admin == nil && b.report.Errors.Has(at) {
		return
	}
	b.config.Admin = b.addresses.TakeAdmin(address, at)
}
