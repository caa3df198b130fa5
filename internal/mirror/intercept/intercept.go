// Package intercept is the transparent way: a forward proxy for the HTTPS_PROXY of
// Docker and its like, by which they keep the names of their images and get them from
// the cache all the same.
//
// It is the proxy's own (packages forward and gate), with one difference: a tunnel to a
// configured registry, or to a host that has a registry's blobs, ends here, in TLS with
// a certificate of the mirror's authority. Requests to a registry get the handler of
// that registry, whatever else they name; requests to a host of blobs are passed on to
// exactly that host, and so are those to a registry that are no pulls: it may give its
// tokens itself. All other tunnels, and plain HTTP, are for the rules to decide, and
// go through untouched: the other servers of tokens among them, so that a client's
// password is not seen here.
//
// What a registry answers is left to the handler, what is trusted to package authority.
package intercept

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/acl"
	"sluice/forward"
	"sluice/internal/gate"
	"sluice/internal/limit"
	"sluice/internal/listen"
	"sluice/internal/mirror/authority"
	"sluice/internal/mirror/record"
	"sluice/internal/relay"
	"sluice/internal/track"
)

// program is what refusals call this program.
const program = "sluice-mirror"

// Policy is all that a reload changes. It must not be changed once it is in use.
type Policy struct {
	// Gate decides about all that is not decrypted, and has the limits and times of
	// everything: NoRule is for tunnels that end here, Handshake for the time until a
	// client has said what it wants, and again for TLS within a tunnel. A Dialer must
	// know the mirror's own listeners.
	Gate *gate.Policy
	// Registries are those whose tunnels end here: their names by HOST:PORT, see
	// Endpoint.
	Registries map[string]string
	// Blobs are hosts that registries send clients to, by HOST:PORT. A registry that is
	// among them gets what is no pull of its images itself.
	Blobs map[string]Blobs
	// Admits tells whether any rule lets a client pull.
	Admits func(client netip.Addr) bool
	// Authority has certificates for the hosts of Registries and Blobs. Those that it
	// does not cover are refused.
	Authority *authority.Authority
	// Waiting is how many connections without a tunnel one client may have, 0: 100,
	// MaxWaiting how many all clients together may, 0: 4096.
	Waiting, MaxWaiting int
}

// Blobs is a host of blobs.
type Blobs struct {
	Registry string // whose blobs they are
	Tokens   bool   // the registry itself: there are tokens rather than blobs
	// Admits tells whether a rule lets a client pull from a registry that has the host;
	// nil: as the Policy's.
	Admits func(client netip.Addr) bool
	// Transport reaches the host, and vets its addresses. It follows no redirect and
	// adds no credentials.
	Transport http.RoundTripper
}

// Options are what a Proxy gets from its process. Registry is wanted.
type Options struct {
	// Registry returns what answers requests to a registry: paths begin with /v2/, and
	// the address of a request is the client's. It is asked for each request.
	Registry func(name string) http.Handler
	// Tunnel gets the record of each CONNECT and plain HTTP request, as the proxy
	// leaves them; nil: nobody does.
	Tunnel func(*track.Record)
	// Passed gets the record of each request to a host of blobs; nil: nobody does.
	Passed func(*record.Record)
	Log    *zap.Logger // nil: nothing is logged
}

// Proxy serves the transparent way. Close ends it.
type Proxy struct {
	o       Options
	policy  atomic.Pointer[Policy]
	gate    *gate.Gate
	http    *forward.Handler
	waiting *limit.Connections
	open    listen.Connections // that no tunnel has taken over
	tls     *tls.Config
	inner   *handover // what the server behind TLS accepts
	server  *http.Server
	served  chan struct{} // closed when it accepts no more
}

// keepAlive is how long a client may keep a connection behind TLS without a request:
// somewhat longer than Docker does, so that Docker is the one to close it.
const keepAlive = 2 * time.Minute

// New returns a proxy under a policy. It listens nowhere: see Serve.
func New(policy *Policy, o Options) (*Proxy, error) {
	if o.Tunnel == nil {
		o.Tunnel = func(*track.Record) {}
	}
	if o.Passed == nil {
		o.Passed = func(*record.Record) {}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	p := &Proxy{o: o, inner: newHandover(), served: make(chan struct{})}
	p.policy.Store(policy)
	p.gate = gate.New(policy.Gate, o.Tunnel)
	p.gate.Panicked = p.panicked
	var err error
	if p.gate.Poller, err = relay.NewPoller(relay.Loops(runtime.GOMAXPROCS(0)), false); err != nil {
		return nil, fmt.Errorf("transparent way: %w", err)
	}
	p.http = &forward.Handler{Gate: p.gate, Via: program, Program: program, End: p.end}
	p.waiting = limit.NewConnections(policy.places())
	p.tls = authority.Defaults()
	p.tls.GetConfigForClient = p.forClient
	errorLog, err := zap.NewStdLogAt(o.Log, zapcore.DebugLevel)
	if err != nil {
		return nil, fmt.Errorf("transparent way: %w", err)
	}
	p.server = &http.Server{
		Handler: http.HandlerFunc(p.answer), ConnContext: withTunnel,
		ReadHeaderTimeout: policy.Gate.Handshake, IdleTimeout: keepAlive, MaxHeaderBytes: maxHeader,
		HTTP2:    &http.HTTP2Config{WriteByteTimeout: policy.Gate.Idle},
		ErrorLog: errorLog,
	}
	go func() {
		defer close(p.served)
		if err := p.server.Serve(p.inner); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("the server behind TLS has ended", zap.Error(err))
		}
	}()
	return p, nil
}

// maxHeader bounds a request's head, as that of package forward does.
const maxHeader = 64 << 10

// places returns how many connections without a tunnel one client, and all, may have.
func (p *Policy) places() (perClient, total int) {
	perClient, total = 100, 4096
	if p.Waiting > 0 {
		perClient = p.Waiting
	}
	if p.MaxWaiting > 0 {
		total = p.MaxWaiting
	}
	return perClient, total
}

// Endpoint returns the HOST:PORT that clients ask when they mean a registry, whose name
// may have a port: the name itself, but for Docker Hub.
func Endpoint(registry string) (string, error) {
	if registry == "docker.io" {
		return "registry-1.docker.io:443", nil
	}
	name, port := registry, "443"
	if h, p, err := net.SplitHostPort(registry); err == nil {
		name, port = h, p
	}
	h, err := acl.ParseHost(name)
	if err != nil {
		return "", fmt.Errorf("registry %q: %w", registry, err)
	}
	n, err := acl.ParsePort(port)
	if err != nil {
		return "", fmt.Errorf("registry %q: %w", registry, err)
	}
	return h.Join(n), nil
}

// Swap puts another policy in force, as gate.Swap does. Tunnels that end here go on;
// their next requests are answered by the new policy.
func (p *Proxy) Swap(policy *Policy) {
	p.policy.Store(policy)
	p.waiting.Resize(policy.places())
	p.gate.Swap(policy.Gate)
}

// Live returns the table of what is under way.
func (p *Proxy) Live() *track.Table { return p.gate.Live() }

func (p *Proxy) panicked(id track.ID, value any, stack []byte) {
	p.o.Log.Error("panic while serving a connection", zap.Stringer("id", id), zap.Any("panic", value), zap.ByteString("stack", stack))
}
