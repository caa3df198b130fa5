//go:build !linux

package systemd

// Inherited returns no sockets: there is no systemd here.
func Inherited() (*Sockets, error) { return &Sockets{}, nil }
