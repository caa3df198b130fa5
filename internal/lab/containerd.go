//go:build linux

package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Containerd is a containerd on a host, with its state in a directory of the lab.
type Containerd struct {
	*Daemon
	// Socket is where it listens.
	Socket string
}

// StartContainerd runs a containerd with these lines in its environment. hosts is the
// directory in which it looks for the hosts.toml of registries, when it pulls by itself
// as for a kubelet; "": it serves no kubelet.
func StartContainerd(t testing.TB, h *Host, env []string, hosts string) *Containerd {
	t.Helper()
	// The path of a unix socket has 107 bytes at most.
	dir, err := os.MkdirTemp(h.net.Dir(), "")
	if err != nil {
		t.Fatal(err)
	}
	file, socket := filepath.Join(dir, "config.toml"), filepath.Join(dir, "s")
	disabled, cri := `"io.containerd.snapshotter.v1.devmapper"`, ""
	if hosts == "" {
		disabled += `, "io.containerd.grpc.v1.cri"`
	} else {
		cri = fmt.Sprintf(`[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = %q
`, hosts)
	}
	text := fmt.Sprintf(`version = 2
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = [%[2]s]
[grpc]
address = %[3]q
[plugins."io.containerd.internal.v1.opt"]
path = "%[1]s/opt"
%[4]s`, dir, disabled, socket, cri)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := h.Command(context.Background(), "containerd", "--config", file)
	cmd.Env = append(cmd.Env, env...)
	c := &Containerd{h.StartCommand(t, cmd), socket}
	c.WaitOutput(t, "containerd successfully booted", 30*time.Second)
	return c
}

// Pull has containerd pull an image by itself. See [PullByContainerd].
func (c *Containerd) Pull(ctx context.Context, image string) (string, error) {
	return PullByContainerd(ctx, c.Socket, image)
}

// PullByContainerd has the containerd that listens on a socket pull an image by itself,
// as a kubelet does: ctr would fetch it on its own. The call is PullImage of
// Kubernetes's runtime.v1 ImageService, whose request has the image's name as field 1 of
// its field 1.
func PullByContainerd(ctx context.Context, socket, image string) (string, error) {
	name := append([]byte{1<<3 | 2, byte(len(image))}, image...)
	request := append([]byte{1<<3 | 2, byte(len(name))}, name...)
	return gRPC(ctx, socket, "/runtime.v1.ImageService/PullImage", request)
}

// gRPC makes one call over a unix socket: HTTP/2, a message behind a byte of flags and
// four of its length, and the status in the trailer.
func gRPC(ctx context.Context, socket, method string, message []byte) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	framed := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://containerd"+method, bytes.NewReader(framed))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	transport := &http.Transport{
		Protocols: new(http.Protocols),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	status, said := answer.Trailer.Get("Grpc-Status"), answer.Trailer.Get("Grpc-Message")
	if status == "" { // an answer of headers alone
		status, said = answer.Header.Get("Grpc-Status"), answer.Header.Get("Grpc-Message")
	}
	if status != "0" {
		said, _ = url.PathUnescape(said)
		return said, fmt.Errorf("%s: gRPC status %s: %s", method, status, said)
	}
	return string(text), nil
}
