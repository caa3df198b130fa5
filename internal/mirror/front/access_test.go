package front

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"sluice/acl"
	"sluice/internal/mirror/access"
	"sluice/internal/mirror/oci"
)

func TestAClientThatNoRuleAdmitsLearnsThatAndNothingElse(t *testing.T) {
	x := newRig(t, func(s *setup) {
		s.rules = []access.Rule{{Rule: acl.Rule{Name: "others", Action: acl.Allow, Clients: []string{"192.0.2.0/24"}}}}
		s.CA = func() []byte { return []byte("secret") }
		s.Login = true
	})
	x.hub.repo("a/b").image("3", []byte("layer"))
	for _, path := range []string{"/v2/", "/v2/a/b/manifests/3", "/v2/A/../x", "/ca.crt", "/setup/docker.sh", "/", "/v2/quay.io/a/manifests/3"} {
		message := x.wantError(x.get(path), http.StatusForbidden, oci.Denied)
		if message != "no rule of sluice-mirror lets 127.0.0.1 pull anything" {
			t.Errorf("%s: %s", path, message)
		}
	}
	x.wantError(x.do(http.MethodPut, "/v2/a/b/manifests/3"), http.StatusForbidden, oci.Denied)
	if asked := x.hub.requests(); len(asked) > 0 {
		t.Errorf("the upstream was asked: %q", asked)
	}
	if r := x.last(1); r.Code != "DENIED" || r.Status != http.StatusForbidden || r.Client.Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("record %+v", r)
	}
}

func TestARegistryThatNoRuleOpensIsDeniedInASentence(t *testing.T) {
	x := newRig(t, func(s *setup) {
		s.rules = []access.Rule{{Rule: acl.Rule{Name: "hub", Action: acl.Allow, To: []string{"docker.io"}}}}
	})
	x.hub.repo("a/b").image("3", []byte("layer"))
	x.ghcr.repo("a/b").image("3", []byte("layer"))
	x.want(x.get("/v2/a/b/manifests/3"), http.StatusOK)
	for _, path := range []string{"/v2/ghcr.io/a/b/manifests/3", "/v2/a/b/tags/list?ns=ghcr.io", "/v2/ghcr.io/a/b/blobs/" + string(noDigest)} {
		a := x.get(path)
		if m := x.wantError(a, http.StatusForbidden, oci.Denied); !strings.HasPrefix(m, "no rule lets 127.0.0.1 pull ghcr.io/a/b") {
			t.Errorf("%s: %s", path, m)
		}
		x.want(a, http.StatusForbidden, "WWW-Authenticate", "")
	}
	if asked := x.ghcr.requests(); len(asked) > 0 {
		t.Errorf("ghcr.io was asked: %q", asked)
	}
	if r := x.last(1); r.Rule != "hub" || r.Registry != "docker.io" || r.Repository != "a/b" || r.Reference != "3" || r.How != "miss" {
		t.Errorf("record %+v", r)
	}
}

// users writes a file of users whose passwords are their names backwards.
func users(t *testing.T, names ...string) *access.Users {
	t.Helper()
	var lines strings.Builder
	for _, n := range names {
		b := []byte(n)
		slices.Reverse(b)
		hash, err := bcrypt.GenerateFromPassword(b, bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		lines.WriteString(n + ":" + string(hash) + "\n")
	}
	return usersOf(t, lines.String())
}

func usersOf(t *testing.T, file string) *access.Users {
	t.Helper()
	name := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := access.OpenUsers(name, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func withLogin(t *testing.T) func(*setup) {
	u := users(t, "alice", "bob")
	return func(s *setup) {
		s.Login, s.Users = true, func() *access.Users { return u }
		s.rules = []access.Rule{
			{Rule: acl.Rule{Name: "staff", Action: acl.Allow, Users: []string{"alice"}, To: []string{"ghcr.io"}}, Private: []string{"ghcr.io/acme/*"}},
			{Rule: acl.Rule{Name: "hub", Action: acl.Allow, To: []string{"docker.io"}}},
		}
	}
}

func TestWhereClientsLogInNothingIsPulledWithoutAPassword(t *testing.T) {
	x := newRig(t, withLogin(t))
	x.hub.repo("a/b").image("3", []byte("layer"))
	x.ghcr.repo("a/b").image("3", []byte("layer"))
	wrong := []string{"", "Basic", "Basic !", "Basic YWxpY2U6d3Jvbmc=", "Bearer x", "Basic YWxpY2U=", "Digest a=b"}
	for _, path := range []string{"/v2/", "/v2/a/b/manifests/3", "/v2/a/b/tags/list"} {
		for _, field := range wrong {
			var header []string
			if field != "" {
				header = []string{"Authorization", field}
			}
			a := x.get(path, header...)
			x.wantError(a, http.StatusUnauthorized, oci.Unauthorized)
			x.want(a, http.StatusUnauthorized, "WWW-Authenticate", `Basic realm="sluice-mirror", charset="UTF-8"`)
		}
	}
	if asked := x.hub.requests(); len(asked) > 0 {
		t.Errorf("the upstream was asked: %q", asked)
	}
	alice, bob := []string{"Authorization", "Basic YWxpY2U6ZWNpbGE="}, []string{"Authorization", "Basic Ym9iOmJvYg=="}
	x.want(x.get("/v2/", alice...), http.StatusOK)
	x.want(x.get("/v2/a/b/manifests/3", bob...), http.StatusOK)
	x.want(x.get("/v2/ghcr.io/a/b/manifests/3", alice...), http.StatusOK)
	if r := x.allRecords(len(wrong)*3 + 3)[len(wrong)*3+2]; r.User != "alice" || r.Rule != "staff" {
		t.Errorf("record %+v", r)
	}
	// Another user gains nothing by being asked again.
	a := x.get("/v2/ghcr.io/a/b/manifests/3", bob...)
	x.wantError(a, http.StatusForbidden, oci.Denied)
	x.want(a, http.StatusForbidden, "WWW-Authenticate", "")
}

// The upstream's challenge would be answered with the password for the mirror, and what
// the client sends is that password: neither crosses.
func TestWhereClientsLogInTheirPasswordStaysHere(t *testing.T) {
	x := newRig(t, withLogin(t))
	repo := x.ghcr.repo("secret/app")
	repo.image("3", []byte("layer"))
	repo.password = "token"
	var seen []string
	x.ghcr.failing(func(_ http.ResponseWriter, r *http.Request) bool {
		seen = append(seen, r.Header.Values("Authorization")...)
		return false
	})
	a := x.get("/v2/ghcr.io/secret/app/manifests/3", "Authorization", "Basic YWxpY2U6ZWNpbGE=")
	x.wantError(a, http.StatusForbidden, oci.Denied)
	x.want(a, http.StatusForbidden, "WWW-Authenticate", "")
	for _, field := range seen {
		if field != "Bearer anonymous" {
			t.Errorf("the upstream was given %q", field)
		}
	}
}

// Checks of passwords take a processor's time: those of one client wait for each other,
// and only so many may wait.
func TestWhoGuessesPasswordsIsToldToWait(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), 10) // a sixteenth of a second
	if err != nil {
		t.Fatal(err)
	}
	u := usersOf(t, "alice:"+string(hash)+"\n")
	x := newRig(t, func(s *setup) { s.Login, s.Users, s.secure = true, func() *access.Users { return u }, true })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answers := make(chan *http.Response, 200)
	var guesses sync.WaitGroup
	for i := range cap(answers) {
		guesses.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, x.server.URL+"/v2/", nil)
			if err != nil {
				t.Error(err)
				return
			}
			req.SetBasicAuth("alice", fmt.Sprint("guess", i))
			if resp, err := x.server.Client().Do(req); err == nil {
				resp.Body.Close()
				answers <- resp
			}
		})
	}
	for resp := range answers {
		if resp.StatusCode == http.StatusTooManyRequests {
			if resp.Header.Get("Retry-After") == "" {
				t.Error("it is not said for how long")
			}
			break
		}
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	cancel()
	guesses.Wait()
}

func TestAPrivateRepositoryIsForThoseWhomARuleNamesForIt(t *testing.T) {
	rules := func(private ...string) func(*setup) {
		return func(s *setup) {
			s.own = "mirrors-own"
			s.rules = []access.Rule{{Rule: acl.Rule{Name: "ci", Action: acl.Allow}, Private: private}}
		}
	}
	fill := func(x *rig) (oci.Digest, oci.Digest) {
		repo := x.ghcr.repo("acme/app")
		repo.password = "mirrors-own"
		return repo.image("3", []byte("layer"))
	}
	named := newRig(t, rules("ghcr.io/acme/*"))
	m, b := fill(named)
	for _, path := range []string{"manifests/3", "manifests/" + string(m), "blobs/" + string(b), "tags/list"} {
		path = "/v2/ghcr.io/acme/app/" + path
		named.want(named.get(path), http.StatusOK)
		// A page in the browser of that client is not that client.
		for _, header := range [][]string{{"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "same-origin"}, {"User-Agent", "Mozilla/5.0"}, {"Accept-Language", "*"}} {
			if a := named.get(path, header...); a.StatusCode/100 != 4 || strings.Contains(string(a.body), "layer") {
				t.Errorf("%s with %q: %d", path, header, a.StatusCode)
			}
		}
	}
	x := newRig(t, rules())
	m, b = fill(x)
	for _, path := range []string{"manifests/3", "manifests/" + string(m), "blobs/" + string(b), "tags/list"} {
		a := x.get("/v2/ghcr.io/acme/app/" + path)
		x.wantError(a, http.StatusUnauthorized, oci.Unauthorized)
		if c := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(c, "Bearer ") {
			t.Errorf("%s: challenge %q", path, c)
		}
		// Who has a token of the registry's gets it; the token goes to no other.
		x.want(x.get("/v2/ghcr.io/acme/app/"+path, "Authorization", "Bearer mirrors-own"), http.StatusOK)
	}
}

// A registry that wants a password is no reason to ask a client of a mirror for one:
// dockerd would send its user's for Docker Hub.
func TestAChallengeForAPasswordIsNotPassedOnByAMirror(t *testing.T) {
	basic := answering(http.StatusUnauthorized, "WWW-Authenticate", `Basic realm="registry"`)
	x := newRig(t)
	x.hub.failing(basic)
	for _, header := range [][]string{nil, {"Authorization", "Basic YTpi"}} {
		a := x.get("/v2/a/b/manifests/3", header...)
		x.wantError(a, http.StatusForbidden, oci.Denied)
		x.want(a, http.StatusForbidden, "WWW-Authenticate", "")
	}
	// On the transparent way the client believes to speak to the registry, and does.
	through := newRig(t, func(s *setup) { s.connection.Registry = "docker.io" })
	through.hub.failing(basic)
	a := through.get("/v2/a/b/manifests/3")
	through.wantError(a, http.StatusUnauthorized, oci.Unauthorized)
	through.want(a, http.StatusUnauthorized, "WWW-Authenticate", `Basic realm="registry"`)
}

func TestTheTransparentWayIsTheRegistryThatWasConnectedTo(t *testing.T) {
	x := newRig(t, func(s *setup) {
		s.connection = Connection{Registry: "ghcr.io", Client: netip.MustParseAddrPort("[::ffff:192.0.2.7]:4711")}
		s.rules = []access.Rule{{Rule: acl.Rule{Name: "it", Action: acl.Allow, Clients: []string{"192.0.2.7"}, To: []string{"ghcr.io"}}}}
		s.CA = func() []byte { return []byte("certificate") }
		s.Login = true // is for who names the mirror
	})
	x.hub.repo("docker.io/a").image("3", []byte("docker's"))
	d, _ := x.ghcr.repo("docker.io/a").image("3", []byte("github's"))
	x.want(x.get("/v2/"), http.StatusOK)
	for _, path := range []string{"/v2/docker.io/a/manifests/3", "/v2/docker.io/a/manifests/3?ns=docker.io"} {
		x.want(x.get(path), http.StatusOK, "Docker-Content-Digest", string(d), "OCI-Namespace", "")
	}
	x.want(x.get("/ca.crt"), http.StatusNotFound)
	if r := x.last(3); r.Client.String() != "192.0.2.7:4711" || r.Registry != "ghcr.io" {
		t.Errorf("record %+v", r)
	}
	if asked := x.hub.requests(); len(asked) > 0 {
		t.Errorf("docker.io was asked: %q", asked)
	}
}

func TestOneHandlerServesAllRegistriesOfTheTransparentWay(t *testing.T) {
	x := newRig(t)
	ofHub, _ := x.hub.repo("a/b").image("3", []byte("docker's"))
	ofGHCR, _ := x.ghcr.repo("a/b").image("3", []byte("github's"))
	for registry, want := range map[string]oci.Digest{"docker.io": ofHub, "ghcr.io": ofGHCR} {
		s, _ := serve(t, true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			x.handler.ServeHTTP(w, r.WithContext(Connection{Registry: registry}.With(r.Context())))
		}))
		resp := get(t, s.Client(), s.URL+"/v2/a/b/manifests/3")
		if got := resp.Header.Get("Docker-Content-Digest"); got != string(want) {
			t.Errorf("%s: %s, %q", registry, resp.Status, got)
		}
	}
}

func TestWhatTheRegistryItselfAnswersOnTheTransparentWay(t *testing.T) {
	for path, want := range map[string]bool{
		"/v2/": true, "/v2/a/b/manifests/3": true, "/v2/a/b/manifests/-": true, "/v2/a%2fb/manifests/x": true, "/v2/a/blobs/uploads/": true,
		"/token?scope=a": false, "/v2/auth?scope=a": false, "/v2/token": false, "/": false,
	} {
		r, err := http.NewRequest(http.MethodGet, "https://quay.io"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := Serves(r); got != want {
			t.Errorf("%s: %t", path, got)
		}
	}
}

func TestARequestThatHasGoneInACircleIsEnded(t *testing.T) {
	x := newRig(t, func(s *setup) { s.Via = "sluice-mirror-x" })
	x.hub.repo("a/b").image("3", []byte("layer"))
	x.wantError(x.get("/v2/a/b/manifests/3", "Via", "1.1 proxy, 1.1 sluice-mirror-x"), http.StatusLoopDetected, oci.Unsupported)
	x.want(x.get("/v2/a/b/manifests/3", "Via", "1.1 sluice-mirror-y"), http.StatusOK)
}

// Docker asks for a token, and sends its user's password for it, when /v2/ wants that
// and then only. A client that cannot get one pulls nothing any more.
func TestOnTheTransparentWayTheRegistrySaysWhetherToLogIn(t *testing.T) {
	const realm = "https://auth.example/token"
	bearer := `Bearer realm="` + realm + `",service="registry.example"`
	basic := `Basic realm="registry"`
	registry := func(challenge string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Authorization") != "Bearer good" {
				return answering(http.StatusUnauthorized, "WWW-Authenticate", challenge)(w, r)
			}
			return false
		}
	}
	for name, c := range map[string]struct {
		fail          func(http.ResponseWriter, *http.Request) bool
		reached       bool
		own           string // password of the mirror's
		authorization string
		want          string // challenge; "": 200
	}{
		"a server of tokens that is reached":     {fail: registry(bearer), reached: true, want: bearer},
		"one that is not":                        {fail: registry(bearer)},
		"one without https":                      {fail: registry(strings.Replace(bearer, "https", "http", 1)), reached: true},
		"none that is named":                     {fail: registry("Bearer"), reached: true},
		"a password":                             {fail: registry(basic), want: basic},
		"a password that the mirror has":         {fail: registry(basic), own: "secret"},
		"credentials that are good":              {fail: registry(bearer), authorization: "Bearer good"},
		"credentials that are not":               {fail: registry(bearer), authorization: "Bearer bad", want: bearer},
		"a password that is wrong":               {fail: registry(basic), own: "secret", authorization: "Basic YTpi", want: basic},
		"no credentials":                         {},
		"a registry that is down":                {fail: answering(http.StatusServiceUnavailable), reached: true},
		"a registry that takes no more requests": {fail: answering(http.StatusTooManyRequests), reached: true},
	} {
		t.Run(name, func(t *testing.T) {
			x := newRig(t, func(s *setup) {
				s.connection.Registry, s.own = "docker.io", c.own
				s.Reaches = func(client netip.Addr, registry string, u *url.URL) bool {
					return c.reached && client == netip.MustParseAddr("127.0.0.1") && registry == "docker.io" && u.String() == realm
				}
			})
			x.hub.failing(c.fail)
			var header []string
			if c.authorization != "" {
				header = []string{"Authorization", c.authorization}
			}
			a := x.get("/v2/", header...)
			if c.want == "" {
				x.want(a, http.StatusOK, "WWW-Authenticate", "")
				return
			}
			x.wantError(a, http.StatusUnauthorized, oci.Unauthorized)
			x.want(a, http.StatusUnauthorized, "WWW-Authenticate", c.want)
		})
	}
	// A client of a mirror is not told: it does not send its password there.
	x := newRig(t, func(s *setup) { s.Reaches = func(netip.Addr, string, *url.URL) bool { return true } })
	x.hub.failing(registry(bearer))
	x.want(x.get("/v2/"), http.StatusOK)
}
