//go:build linux

package lab

import "testing"

// Systemd is a Machine whose process 1 is systemd, which knows the units that it is
// given and a few empty targets.
type Systemd struct{ *Machine }

// StartSystemd starts systemd on the host, with copies of files: their paths are
// below units/, etc/ and bin/, which stand for systemd's directory of units, /etc
// and /usr/local/bin. Where systemd cannot be process 1 of a namespace, as in a
// container without control groups of its own, the test is skipped.
func StartSystemd(t testing.TB, h *Host, files map[string]string) *Systemd {
	t.Helper()
	Need(t, Needs{Root: true, Programs: []string{"systemctl", "unshare", "nsenter"}})
	dir := h.net.path("machine-" + h.name)
	for _, name := range []string{"lab", "basic", "sysinit", "sockets", "shutdown", "multi-user", "network-online"} {
		writeBelow(t, dir, "units/"+name+".target", []byte("[Unit]\nDefaultDependencies=no\n"), 0o644)
	}
	s := &Systemd{startMachine(t, h, files,
		"SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/units", "SYSTEMD_GENERATOR_PATH=/run/none",
		"/lib/systemd/systemd", "--system", "--unit=lab.target", "--log-target=console", "--show-status=no")}
	s.wait(t, "systemd", func() bool {
		out, err := s.enter("systemctl", "is-system-running").Output()
		return err == nil && string(out) == "running\n"
	})
	return s
}

// Control runs systemctl and returns what it prints, without the last newline. A
// failure is the test's.
func (s *Systemd) Control(t testing.TB, args ...string) string {
	t.Helper()
	return s.Run(t, "systemctl", args...)
}

// Property returns a property of a unit, as systemctl show prints it.
func (s *Systemd) Property(t testing.TB, unit, name string) string {
	t.Helper()
	return s.Control(t, "show", "--value", "--property="+name, unit)
}
