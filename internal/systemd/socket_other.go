//go:build !linux

package systemd

// socket is none where there is no systemd.
type socket struct{}

func openSocket() (*socket, error)  { return nil, nil }
func (s *socket) close()            {}
func (s *socket) send(string) error { return nil }
func busy(error) bool               { return false }
