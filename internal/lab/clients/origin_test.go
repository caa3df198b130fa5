//go:build linux

package clients

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
)

const (
	greeting = "greetings from behind the weir\n"
	// bigSize is more than any buffer on the way and more than 100 MB, and no
	// multiple of a page.
	bigSize = 128<<20 + 4321
)

// origin is the far side. One handler answers for it in plain HTTP and in TLS.
// It notes who its peers are, for a client that reached it without the relay
// would prove nothing about the relay.
type origin struct {
	mux *http.ServeMux

	mu    sync.Mutex
	peers map[string]bool // addresses that sent a request
	paths map[string]int  // requests by path
}

// upload is what the origin says of a body it was sent.
type upload struct {
	Bytes    int64
	SHA256   string
	Expect   string // the Expect header, as it arrived
	Transfer string // the transfer coding, as it arrived
}

func newOrigin() *origin {
	o := &origin{mux: http.NewServeMux(), peers: map[string]bool{}, paths: map[string]int{}}
	o.mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, greeting)
	})
	o.mux.HandleFunc("GET /n/{n}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "answer %s\n", r.PathValue("n"))
	})
	o.mux.HandleFunc("GET /big", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(bigSize))
		io.CopyN(w, noise(1), bigSize)
	})
	o.mux.HandleFunc("PUT /upload", o.takeUpload)
	o.mux.HandleFunc("PUT /refuse", func(w http.ResponseWriter, r *http.Request) {
		// The body is not read, so net/http asks for none: no 100 is sent.
		http.Error(w, "not wanted here", http.StatusForbidden)
	})
	o.mux.HandleFunc("GET /upgrade", echoUpgrade)
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	o.mu.Lock()
	o.peers[host] = true
	o.paths[r.URL.Path]++
	o.mu.Unlock()
	o.mux.ServeHTTP(w, r)
}

// strangers returns the peers that are not the relay.
func (o *origin) strangers(relay string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for p := range o.peers {
		if p != relay {
			out = append(out, p)
		}
	}
	return out
}

// asked returns how many requests for path have arrived.
func (o *origin) asked(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.paths[path]
}

func (o *origin) takeUpload(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	json.NewEncoder(w).Encode(upload{
		Bytes:    n,
		SHA256:   hex.EncodeToString(sum.Sum(nil)),
		Expect:   r.Header.Get("Expect"),
		Transfer: strings.Join(r.TransferEncoding, ","),
	})
}

// echoUpgrade switches to a protocol of lines (RFC 9110, section 7.8): each
// line comes back in upper case. READY leaves in one write with the 101, so
// that a relay which loses what follows the answer's head is caught.
func echoUpgrade(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "shout" {
		http.Error(w, "no upgrade asked for", http.StatusUpgradeRequired)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nREADY\n")
	if rw.Flush() != nil {
		return
	}
	for lines := bufio.NewScanner(rw); lines.Scan(); {
		fmt.Fprintln(conn, strings.ToUpper(lines.Text()))
	}
}

// noise is an endless stream of bytes that do not compress, the same for the
// same seed.
func noise(seed byte) io.Reader {
	return rand.NewChaCha8([32]byte{seed})
}

// noiseSum returns the SHA-256, in hex, of the first n bytes of noise(seed).
func noiseSum(seed byte, n int64) string {
	sum := sha256.New()
	io.CopyN(sum, noise(seed), n)
	return hex.EncodeToString(sum.Sum(nil))
}
