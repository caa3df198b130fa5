//go:build linux

package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helper puts docker-credential-test, a shell script, into PATH.
func helper(t *testing.T, script string) (name string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-test"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return "test"
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// echoes answers with the password that it is given.
func echoes(w http.ResponseWriter, r *http.Request) {
	user, password, ok := r.BasicAuth()
	if !ok {
		w.Header().Set("WWW-Authenticate", `Basic realm="one"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	fmt.Fprintf(w, "%s=%s", user, password)
}

func TestAPasswordFileIsReadAnewWhenItChanges(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "password")
	write(t, path, "first\n")
	o := w.options(t, w.serve(t, echoes).url(registryName))
	o.Username, o.PasswordFile = "user", path
	r := open(t, o)
	if got := get(t, r, manifest(Own())); got != "user=first" {
		t.Errorf("got %q", got)
	}
	write(t, path, "the second\r\n")
	if got := get(t, r, manifest(Own())); got != "user=the second" {
		t.Errorf("got %q", got)
	}
	// As a secret is replaced: another file takes the place of the same name.
	write(t, path+".new", "the third.")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if got := get(t, r, manifest(Own())); got != "user=the third." {
		t.Errorf("got %q", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	fails(t, r, manifest(Own()), NoCredentials)
}

func TestTokensOfAnOldPasswordAreNotUsedWithANewOne(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "password")
	write(t, path, "first")
	auth := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		gives("the-token-of-"+password)(w, r)
	})
	o := w.options(t, w.serve(t, bearer(auth.url(authName), func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Authorization"))
	})).url(registryName))
	o.Username, o.PasswordFile = "user", path
	r := open(t, o)
	get(t, r, manifest(Own()))
	write(t, path, "the-second")
	if got := get(t, r, manifest(Own())); got != "Bearer the-token-of-the-second" {
		t.Errorf("got %q", got)
	}
}

// Google's registries take a whole JSON key as the password of _json_key.
func TestAJSONKeyIsAPassword(t *testing.T) {
	const key = "{\n  \"type\": \"service_account\",\n  \"private_key\": \"-----BEGIN PRIVATE KEY-----\\nMIIE\\n\",\n  \"client_email\": \"a@b\"\n}"
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "key.json")
	write(t, path, key+"\n")
	auth := w.serve(t, gives("the-token"))
	o := w.options(t, w.serve(t, bearer(auth.url(authName), says("manifest"))).url(registryName))
	o.Username, o.PasswordFile = "_json_key", path
	get(t, open(t, o), manifest(Own()))
	if user, password, _ := basicAuth(auth.requests()[0]); user != "_json_key" || password != key {
		t.Errorf("the token server received %q, %q", user, password)
	}
}

func TestAHelperIsAskedAsDockerAsksIt(t *testing.T) {
	w := newWorld(t)
	asked := filepath.Join(t.TempDir(), "asked")
	registry := w.serve(t, echoes)
	o := w.options(t, registry.url(registryName))
	o.Helper = helper(t, `{ echo "$@"; cat; echo; } >>`+asked+`; echo '{"ServerURL":"one.example","Username":"user","Secret":"s3cret"}'`)
	r := open(t, o)
	for range 3 {
		if got := get(t, r, manifest(Own())); got != "user=s3cret" {
			t.Errorf("got %q", got)
		}
	}
	if text, err := os.ReadFile(asked); err != nil || string(text) != "get\none.example\n" {
		t.Errorf("the helper was asked %q (%v), want once", text, err)
	}
}

func TestDockerHubsCredentialsAreKeptUnderItsOldAddress(t *testing.T) {
	w := newWorld(t)
	o := w.options(t, w.serve(t, echoes).url(registryName))
	o.Name = "docker.io"
	o.Helper = helper(t, `echo "{\"Username\":\"user\",\"Secret\":\"$(cat)\"}"`)
	if got := get(t, open(t, o), manifest(Own())); got != "user=https://index.docker.io/v1/" {
		t.Errorf("got %q", got)
	}
}

func TestAHelperThatFailsIsToldWithoutItsSecrets(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"has none":          {`echo "credentials not found in native keychain"; exit 1`, "not found in native keychain"},
		"nonsense":          {`echo "s3cret"`, "cannot be read"},
		"no secret":         {`echo '{"Username":"user"}'`, "no secret"},
		"no user":           {`echo '{"Secret":"s3cret"}'`, "no user name"},
		"a user with colon": {`echo '{"Username":"a:b","Secret":"s3cret"}'`, "no user name"},
		"talks for ever":    {`while echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; do :; done`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			registry := w.serve(t, echoes)
			o := w.options(t, registry.url(registryName))
			o.Helper = helper(t, c.script)
			if c.want == "" {
				o.Timeout = time.Second
			}
			r := open(t, o)
			_, err := r.Do(t.Context(), manifest(Own()))
			if err == nil {
				t.Fatal("it was answered")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("told %q, want %q", err, c.want)
			}
			for _, got := range registry.requests() {
				if got.header.Get("Authorization") != "" {
					t.Error("the registry received credentials all the same")
				}
			}
			// Who asks anonymously does not need it.
			fails(t, r, manifest(Anonymous()), Unauthorized)
		})
	}
}

func TestAHelperMayLeaveAnAgentBehind(t *testing.T) {
	w := newWorld(t)
	o := w.options(t, w.serve(t, echoes).url(registryName))
	o.Helper = helper(t, `sleep 60 & echo '{"Username":"user","Secret":"s3cret"}'`)
	if got := get(t, open(t, o), manifest(Own())); got != "user=s3cret" { // within o.Timeout
		t.Errorf("got %q", got)
	}
}

func TestAHelperThatHangsIsEndedWithTheRequest(t *testing.T) {
	w := newWorld(t)
	started := filepath.Join(t.TempDir(), "started")
	o := w.options(t, w.serve(t, echoes).url(registryName))
	o.Helper = helper(t, "touch "+started+"; exec sleep 600")
	r := open(t, o)
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := r.Do(ctx, manifest(Own()))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(started); err == nil {
			break
		}
	}
	leave()
	within(t, "the end of the request", done)
}

func TestAPasswordThatARegistryDoesNotTakeIsNotTriedTwice(t *testing.T) {
	w := newWorld(t)
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="one"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	r := open(t, withPassword(t, w.options(t, registry.url(registryName))))
	e := fails(t, r, manifest(Own()), Unauthorized)
	if got := len(registry.requests()); got != 2 || e.Challenge != `Basic realm="one"` {
		t.Errorf("%d requests, challenge %q", got, e.Challenge)
	}
}

func TestOwnIsAnonymousWithoutCredentials(t *testing.T) {
	w := newWorld(t)
	r := w.open(t, w.serve(t, echoes).url(registryName))
	if r.HasCredentials() {
		t.Error("it says that it has credentials")
	}
	fails(t, r, manifest(Own()), Unauthorized)
}

func TestFaultsOfTheConfigurationAreToldAtTheStart(t *testing.T) {
	w := newWorld(t)
	t.Setenv("SET", "x")
	empty := filepath.Join(t.TempDir(), "empty")
	write(t, empty, "\n")
	large := filepath.Join(t.TempDir(), "large")
	write(t, large, strings.Repeat("x", maxSecret+1))
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"user without password": {func(o *Options) { o.Username = "u" }, "without a password"},
		"password without user": {func(o *Options) { o.PasswordEnv = "SET" }, "without a user name"},
		"two passwords":         {func(o *Options) { o.Username, o.PasswordEnv, o.PasswordFile = "u", "SET", empty }, "more than one"},
		"user with colon":       {func(o *Options) { o.Username, o.PasswordEnv = "u:v", "SET" }, "colon"},
		"no such file":          {func(o *Options) { o.Username, o.PasswordFile = "u", "/nonexistent" }, "no such file"},
		"empty file":            {func(o *Options) { o.Username, o.PasswordFile = "u", empty }, "empty"},
		"large file":            {func(o *Options) { o.Username, o.PasswordFile = "u", large }, "more than"},
		"a pipe":                {func(o *Options) { o.Username, o.PasswordFile = "u", pipe }, "not a regular file"},
		"a pipe of CAs":         {func(o *Options) { o.CA = pipe }, "not a regular file"},
		"variable not set":      {func(o *Options) { o.Username, o.PasswordEnv = "u", "NOT_SET_AT_ALL" }, "NOT_SET_AT_ALL"},
		"helper elsewhere":      {func(o *Options) { o.Helper = "../../bin/sh" }, "letters"},
		"no such helper":        {func(o *Options) { o.Helper = "nonexistent" }, "docker-credential-nonexistent"},
		"no such CA":            {func(o *Options) { o.CA = "/nonexistent" }, "no such file"},
		"empty CA":              {func(o *Options) { o.CA = empty }, "no certificate"},
		"no URL":                {func(o *Options) { o.URL = nil }, "URL"},
		"URL with a password":   {func(o *Options) { o.URL = parse(t, "https://a:b@one.example") }, "URL"},
		"URL with a zone":       {func(o *Options) { o.URL = parse(t, "https://[fe80::1%25lo]") }, "zone"},
		"ftp":                   {func(o *Options) { o.URL = parse(t, "ftp://one.example") }, "URL"},
		"a realm with a path":   {func(o *Options) { o.Realm = "https://one.example/token" }, "realm"},
		"a proxy by quic":       {func(o *Options) { o.Proxy = parse(t, "quic://one.example") }, "proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			o := w.options(t, "https://"+registryName)
			c.change(&o)
			r, err := New(o)
			if err == nil {
				r.Close()
				t.Fatal("it was taken")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "upstream one.example: ") {
				t.Errorf("told %q, want %q", err, c.want)
			}
		})
	}
}
