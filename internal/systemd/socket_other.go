//go:build !linux

package systemd

// socket is none where there is no systemd.
type socket struct{}

func openSocket() (socket, error)  { return socket{}, nil }
func (s socket) none() bool        { return true }
func (s socket) close()            {}
func (s socket) send(string) error { return nil }
func busy(error) bool              { return false }
