//go:build linux

package lab

import (
	"context"
	"testing"
)

// Mirror is a running `sluice-mirror serve` on a host.
type Mirror struct{ recorder }

// StartMirror runs `sluice-mirror serve` with a configuration on the host and waits
// until it listens on these ports. It trusts ca alone, besides what the configuration
// says.
func StartMirror(t testing.TB, h *Host, ca *CA, configuration string, ports ...uint16) *Mirror {
	t.Helper()
	m := new(Mirror)
	cmd := h.Command(context.Background(), SluiceMirror(t), "serve", "--config", configuration)
	cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+ca.File(), "SSL_CERT_DIR=/nonexistent")
	cmd.Stdout = &lineWriter{line: m.read}
	m.Daemon = h.StartCommand(t, cmd)
	m.WaitListen(t, ports...)
	return m
}
