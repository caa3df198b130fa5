//go:build linux

package lab

import (
	"context"
	"testing"
)

// Mirror is a running `sluice-mirror serve` on a host.
type Mirror struct{ recorder }

// StartMirror runs `sluice-mirror serve` with these arguments on the host and waits until
// it listens on these ports. It trusts ca alone, besides what its configuration says.
func StartMirror(t testing.TB, h *Host, ca *CA, ports []uint16, args ...string) *Mirror {
	t.Helper()
	m := new(Mirror)
	cmd := h.Command(context.Background(), SluiceMirror(t), append([]string{"serve"}, args...)...)
	cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+ca.File(), "SSL_CERT_DIR=/nonexistent")
	cmd.Stdout = &lineWriter{line: m.read}
	m.Daemon = h.StartCommand(t, cmd)
	m.WaitListen(t, ports...)
	return m
}
