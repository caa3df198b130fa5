//go:build linux

package upstream

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// secret is what no other host may receive.
const secret = "s3cret"

// withPassword gives options the credentials user:s3cret.
func withPassword(t *testing.T, o Options) Options {
	t.Helper()
	t.Setenv("UPSTREAM_PASSWORD", secret)
	o.Username, o.PasswordEnv = "user", "UPSTREAM_PASSWORD"
	return o
}

// credentialsIn tells where a request has credentials: the password, a token, or
// anything in the headers made for them.
func credentialsIn(r seen) string {
	for name, values := range r.header {
		text := strings.Join(values, " ")
		if name == "Authorization" || name == "Proxy-Authorization" || name == "Cookie" || name == "Referer" || strings.Contains(text, secret) || strings.Contains(text, "the-token") {
			return name + ": " + text
		}
	}
	if strings.Contains(r.uri+r.body, secret) || strings.Contains(r.uri+r.body, "the-token") {
		return r.uri + " " + r.body
	}
	return ""
}

// identities are those whose credentials could leak, with an upstream that takes
// them.
func identities() map[string]Identity {
	return map[string]Identity{
		"own password":     Own(),
		"a client's token": Client("Bearer the-token-of-a-client"),
		"a client's basic": Client("Basic dXNlcjpzM2NyZXQ="),
	}
}

// challenged answers 401 with Basic to who has no Authorization.
func challenged(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="one"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h(w, r)
	}
}

func TestCredentialsDoNotCrossToAnotherHostOrPort(t *testing.T) {
	for name, as := range identities() {
		for where, host := range map[string]string{"another host": otherName, "a sister host": authName, "another port": registryName} {
			t.Run(name+" to "+where, func(t *testing.T) {
				w := newWorld(t)
				other := w.serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the blob") })
				registry := w.serve(t, challenged(func(w http.ResponseWriter, r *http.Request) {
					http.Redirect(w, r, other.url(host)+"/blob?signature=x", http.StatusTemporaryRedirect)
				}))
				r := open(t, withPassword(t, w.options(t, registry.url(registryName))))
				if got := get(t, r, blob(as)); got != "the blob" {
					t.Errorf("got %q", got)
				}
				if len(other.requests()) != 1 {
					t.Fatalf("%d requests for the blob", len(other.requests()))
				}
				if leak := credentialsIn(other.requests()[0]); leak != "" {
					t.Errorf("%s received %s", host, leak)
				}
			})
		}
	}
}

func TestCredentialsThatWereLeftBehindDoNotComeBack(t *testing.T) {
	w := newWorld(t)
	var registry *site
	other := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, registry.url(registryName)+"/stolen", http.StatusFound)
	})
	registry = w.serve(t, challenged(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.url(otherName)+"/", http.StatusFound)
	}))
	r := open(t, withPassword(t, w.options(t, registry.url(registryName))))
	fails(t, r, manifest(Own()), Unauthorized)
	for _, got := range registry.requests() {
		if got.uri == "/stolen" && credentialsIn(got) != "" {
			t.Errorf("sent back with %s", credentialsIn(got))
		}
	}
}

func TestCredentialsStayOnARedirectToTheSameOrigin(t *testing.T) {
	w := newWorld(t)
	registry := w.serve(t, challenged(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/elsewhere" {
			http.Redirect(w, r, "/v2/elsewhere", http.StatusPermanentRedirect)
			return
		}
		fmt.Fprint(w, "here")
	}))
	r := open(t, withPassword(t, w.options(t, registry.url(registryName))))
	if got := get(t, r, manifest(Own())); got != "here" {
		t.Errorf("got %q", got)
	}
}

func TestNoRedirectLeadsFromHTTPSToHTTP(t *testing.T) {
	w := newWorld(t)
	plain := w.serveOn(t, "http", allowed, nil)
	var registry *site
	other := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.url(otherName)+"/", http.StatusFound)
	})
	registry = w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		to := plain.url(registryName)
		if strings.Contains(r.URL.Path, "manifests") {
			to = other.url(otherName) // which leads there in turn
		}
		http.Redirect(w, r, to, http.StatusFound)
	})
	r := w.open(t, registry.url(registryName))
	fails(t, r, blob(Anonymous()), Refused)
	fails(t, r, manifest(Anonymous()), Refused)
	plain.wantNothing(t)
}

func TestARedirectMayLeadFromHTTPToHTTPSWithoutCredentials(t *testing.T) {
	w := newWorld(t)
	safe := w.serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "safe") })
	registry := w.serveOn(t, "http", allowed, challenged(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, safe.url(registryName), http.StatusFound)
	}))
	r := open(t, withPassword(t, w.options(t, registry.url(registryName))))
	if got := get(t, r, manifest(Own())); got != "safe" {
		t.Errorf("got %q", got)
	}
	if leak := credentialsIn(safe.requests()[0]); leak != "" {
		t.Errorf("received %s", leak)
	}
}

func TestARedirectBringsNoCredentialsOfItsOwn(t *testing.T) {
	w := newWorld(t)
	other := w.serve(t, nil)
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(other.url(otherName), "https://", "https://their:password@", 1), http.StatusFound)
	})
	fails(t, w.open(t, registry.url(registryName)), blob(Anonymous()), Refused)
	other.wantNothing(t)
}

func TestRedirectsThatLeadNowhereEnd(t *testing.T) {
	for name, location := range map[string]string{"in a circle": "/v2/again", "without a place": "", "unreadable": "https://[::1"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			registry := w.serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if location != "" {
					w.Header().Set("Location", location)
				}
				w.WriteHeader(http.StatusFound)
			})
			fails(t, w.open(t, registry.url(registryName)), blob(Anonymous()), Broken)
			if got := len(registry.requests()); got > 1+maxRedirects {
				t.Errorf("%d requests", got)
			}
		})
	}
}

// bearer answers 401 with a Bearer challenge for a token server to who has no
// token.
func bearer(realm string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer the-token") {
			repository, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/")
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="one",scope="repository:%s:pull,push"`, realm, repository))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h(w, r)
	}
}

func gives(token string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"token":%q,"expires_in":300}`, token)
	}
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

func TestOwnCredentialsGoToNoTokenServerElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		host    string // of the token server
		trusted string
		goes    bool
	}{
		"the same host":             {registryName, "", true},
		"the same domain":           {authName, "", true},
		"another domain":            {otherName, "", false},
		"another that is trusted":   {otherName, otherName, true},
		"another, another trusted":  {otherName, "three.example", false},
		"an address":                {allowed.String(), "", false},
		"a trusted address":         {allowed.String(), allowed.String(), true},
		"the trusted port of it":    {otherName, otherName + ":PORT", true},
		"not the port that is":      {otherName, otherName + ":1", false},
		"a name that ends the same": {"xone.example", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.names.set("xone.example", allowed)
			auth := w.serve(t, gives("the-token"))
			registry := w.serve(t, bearer(auth.url(c.host)+"/token", says("manifest")))
			o := withPassword(t, w.options(t, registry.url(registryName)))
			_, port, _ := strings.Cut(strings.TrimPrefix(auth.url("x"), "https://"), ":")
			o.Realm = strings.Replace(c.trusted, "PORT", port, 1)
			r := open(t, o)
			if !c.goes {
				e := fails(t, r, manifest(Own()), Refused)
				if !strings.Contains(e.Error(), c.host) || !strings.Contains(e.Error(), "realm") {
					t.Errorf("%q does not say what to do", e)
				}
				auth.wantNothing(t)
				return
			}
			get(t, r, manifest(Own()))
			if user, password, _ := basicAuth(auth.requests()[0]); user != "user" || password != secret {
				t.Errorf("the token server received %q, %q", user, password)
			}
		})
	}
}

func basicAuth(r seen) (user, password string, ok bool) {
	req := http.Request{Header: r.header}
	return req.BasicAuth()
}

func TestAnonymousTokensMayComeFromAnywherePublic(t *testing.T) {
	w := newWorld(t)
	auth := w.serve(t, gives("the-token"))
	registry := w.serve(t, bearer(auth.url(otherName)+"/token?a=b", says("manifest")))
	r := open(t, withPassword(t, w.options(t, registry.url(registryName))))
	get(t, r, manifest(Anonymous()))
	got := auth.requests()[0]
	if leak := credentialsIn(got); leak != "" {
		t.Errorf("the token server received %s", leak)
	}
	u, err := url.Parse(got.uri)
	if err != nil {
		t.Fatal(err)
	}
	if q := u.Query(); q.Get("a") != "b" || q.Get("service") != "one" || q.Get("scope") != "repository:library/alpine:pull" {
		t.Errorf("asked for %s; push is nobody's business here", got.uri)
	}
}

func TestNoTokenServerLeadsFromHTTPSToHTTP(t *testing.T) {
	w := newWorld(t)
	auth := w.serveOn(t, "http", allowed, gives("the-token"))
	registry := w.serve(t, bearer(auth.url(registryName), says("manifest")))
	r := open(t, withPassword(t, w.options(t, registry.url(registryName))))
	fails(t, r, manifest(Own()), Refused)
	fails(t, r, manifest(Anonymous()), Refused)
	auth.wantNothing(t)
}

func TestATokenServerThatRedirectsGetsNoCredentialsElsewhere(t *testing.T) {
	w := newWorld(t)
	other := w.serve(t, gives("the-token"))
	auth := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.url(otherName)+"/", http.StatusFound)
	})
	registry := w.serve(t, bearer(auth.url(authName), says("manifest")))
	r := open(t, withPassword(t, w.options(t, registry.url(registryName))))
	get(t, r, manifest(Own()))
	if leak := credentialsIn(other.requests()[0]); leak != "" {
		t.Errorf("received %s", leak)
	}
}

func TestAClientsOwnAuthorizationGoesToTheUpstreamAlone(t *testing.T) {
	for _, authorization := range []string{"Bearer another", "Basic dXNlcjpzM2NyZXQ="} {
		w := newWorld(t)
		auth := w.serve(t, gives("the-token"))
		registry := w.serve(t, bearer(auth.url(registryName), says("manifest")))
		r := open(t, withPassword(t, w.options(t, registry.url(registryName))))
		e := fails(t, r, manifest(Client(authorization)), Unauthorized)
		if !strings.Contains(e.Challenge, "Bearer realm=") {
			t.Errorf("the client is told %q, with which it cannot go on", e.Challenge)
		}
		auth.wantNothing(t)
		if got := registry.requests(); len(got) != 1 || got[0].header.Get("Authorization") != authorization {
			t.Errorf("the upstream received %+v", got)
		}
		// And nothing of it is left for others.
		get(t, r, manifest(Own()))
		for _, got := range registry.requests()[1:] {
			if got.header.Get("Authorization") == authorization {
				t.Error("a client's credentials were used for another's request")
			}
		}
	}
}

func TestErrorsHaveNoSecrets(t *testing.T) {
	w := newWorld(t)
	other := w.serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	registry := w.serve(t, challenged(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.url(otherName)+"/blob?X-Amz-Signature="+secret, http.StatusFound)
	}))
	r := open(t, withPassword(t, w.options(t, registry.url(registryName))))
	e := fails(t, r, blob(Own()), Broken)
	if strings.Contains(e.Error(), secret) {
		t.Error(e)
	}
	// Nor has an answer the request that it answers.
	resp, err := open(t, withPassword(t, w.options(t, w.serve(t, challenged(says("x"))).url(registryName)))).Do(t.Context(), manifest(Own()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Request != nil {
		t.Error("the answer carries the request with its Authorization")
	}
}
