//go:build linux

package setup

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// pullByContainerd has containerd pull the image by itself, as a kubelet does: ctr
// would fetch it on its own. The call is PullImage of Kubernetes's runtime.v1
// ImageService, whose request has the image's name as field 1 of its field 1.
func (h *host) pullByContainerd() (string, error) {
	h.t.Helper()
	name := append([]byte{1<<3 | 2, byte(len(image))}, image...)
	request := append([]byte{1<<3 | 2, byte(len(name))}, name...)
	return h.grpc("/run/containerd/containerd.sock", "/runtime.v1.ImageService/PullImage", request)
}

// grpc makes one call of gRPC over a unix socket of the host: HTTP/2, a message
// behind a byte of flags and four of its length, and the status in the trailer.
func (h *host) grpc(socket, method string, message []byte) (string, error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Minute)
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
			return new(net.Dialer).DialContext(ctx, "unix", h.Path(socket))
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
