//go:build linux

package registry

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/lab"
)

// Tokens gives anyone the right to pull what they ask for, and no other; of private
// repositories, only those to whom they belong.
type Tokens struct {
	// Service is what the registry calls itself here.
	Service string
	// Issuer is what the server calls itself.
	Issuer string

	signer lab.Pair

	mu        sync.Mutex
	passwords map[string]string   // by user
	private   map[string][]string // users, by repository
}

// NewTokens returns a server whose signatures ca vouches for.
func NewTokens(t testing.TB, ca *lab.CA, service, issuer string) *Tokens {
	t.Helper()
	return &Tokens{
		Service: service, Issuer: issuer, signer: ca.Leaf(t, "token signer"),
		passwords: make(map[string]string), private: make(map[string][]string),
	}
}

// User adds a user, to whom these repositories belong. They are private from now on.
func (s *Tokens) User(name, password string, repositories ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passwords[name] = password
	for _, r := range repositories {
		s.private[r] = append(s.private[r], name)
	}
}

// access is what a token allows, as the registry reads it.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// ServeHTTP answers GET /token?service=…&scope=repository:NAME:ACTIONS. Whoever may not
// pull gets a token that allows nothing, as on Docker Hub.
func (s *Tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, given := r.BasicAuth()
	if given && !s.knows(user, password) {
		http.Error(w, "incorrect username or password", http.StatusUnauthorized)
		return
	}
	var grants []access
	for _, scope := range r.URL.Query()["scope"] {
		kind, rest, _ := strings.Cut(scope, ":")
		if name, _, ok := strings.Cut(rest, ":"); ok && kind == "repository" && s.mayPull(user, name) {
			grants = append(grants, access{kind, name, []string{"pull"}})
		}
	}
	token, err := s.token(grants...)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"token": token, "access_token": token, "expires_in": 300,
		"issued_at": time.Now().UTC().Format(time.RFC3339),
	})
}

func (s *Tokens) knows(user, password string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	want, ok := s.passwords[user]
	return ok && subtle.ConstantTimeCompare([]byte(want), []byte(password)) == 1
}

func (s *Tokens) mayPull(user, repository string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	owners, private := s.private[repository]
	for _, o := range owners {
		if o == user {
			return true
		}
	}
	return !private
}

// token is a JWT (RFC 7519) signed with ES256, whose x5c header (RFC 7515, 4.1.6)
// brings the certificate that the registry checks against its bundle.
func (s *Tokens) token(grants ...access) (string, error) {
	head, err := json.Marshal(map[string]any{
		"typ": "JWT", "alg": "ES256",
		"x5c": []string{base64.StdEncoding.EncodeToString(s.signer.Certificate.Certificate[0])},
	})
	if err != nil {
		return "", err
	}
	now := time.Now()
	body, err := json.Marshal(map[string]any{
		"iss": s.Issuer, "sub": "", "aud": s.Service, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"access": grants,
	})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	digest := sha256.Sum256([]byte(text))
	key := s.signer.PrivateKey.(*ecdsa.PrivateKey)
	r, v, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return "", err
	}
	// RFC 7518, 3.4: both numbers in 32 octets, no ASN.1 around them.
	signature := v.FillBytes(make([]byte, 64))
	r.FillBytes(signature[:32])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
