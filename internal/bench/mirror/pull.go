//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// client pulls by one connection, one request after the other.
type client struct {
	base      string
	transport *http.Transport
	buffer    []byte
}

func newClient(port int) *client {
	return &client{
		base:      fmt.Sprintf("http://127.0.0.1:%d%s", port, repository),
		transport: &http.Transport{MaxConnsPerHost: 1, DisableCompression: true, ReadBufferSize: 64 << 10},
		buffer:    make([]byte, 256<<10),
	}
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// get reads one answer to its end and drops it. want is its length in bytes.
func (c *client) get(path string, want int) error {
	req, err := http.NewRequest(http.MethodGet, c.base+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", manifestType)
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, c.buffer)
	if err == nil && n != int64(want) {
		err = fmt.Errorf("%d bytes instead of %d", n, want)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// manifest asks for the image by its tag.
func (c *client) manifest(u *upstream) error { return c.get("manifests/latest", len(u.manifest)) }

// pull gets the image, all of it.
func (c *client) pull(u *upstream) error {
	if err := c.manifest(u); err != nil {
		return err
	}
	for _, digest := range u.order {
		if err := c.get("blobs/"+digest, len(u.blobs[digest])); err != nil {
			return err
		}
	}
	return nil
}

// together has n clients of a port do something at once, each until it fails or says that
// it is done.
func together(n, port int, do func(*client) (again bool, err error)) error {
	failures := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			c := newClient(port)
			defer c.close()
			for again := true; again && failures[i] == nil; {
				again, failures[i] = do(c)
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}
