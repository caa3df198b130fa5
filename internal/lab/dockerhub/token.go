//go:build linux

package dockerhub

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"sluice/internal/lab"
)

// service is what the registry calls itself to the token server.
const service = "registry.docker.io"

// access is what a token allows, as the registry reads it.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// tokenServer gives anyone the right to pull what they ask for, and no other.
type tokenServer struct {
	signer lab.Pair
}

func newTokenServer(signer lab.Pair) *tokenServer { return &tokenServer{signer: signer} }

// ServeHTTP answers GET /token?service=…&scope=repository:NAME:ACTIONS.
func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var grants []access
	for _, scope := range r.URL.Query()["scope"] {
		kind, rest, _ := strings.Cut(scope, ":")
		if name, _, ok := strings.Cut(rest, ":"); ok && kind == "repository" {
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

// token is a JWT (RFC 7519) signed with ES256, whose x5c header (RFC 7515, 4.1.6)
// brings the certificate that the registry checks against its bundle.
func (s *tokenServer) token(grants ...access) (string, error) {
	head, err := json.Marshal(map[string]any{
		"typ": "JWT", "alg": "ES256",
		"x5c": []string{base64.StdEncoding.EncodeToString(s.signer.Certificate.Certificate[0])},
	})
	if err != nil {
		return "", err
	}
	now := time.Now()
	body, err := json.Marshal(map[string]any{
		"iss": AuthName, "sub": "", "aud": service, "jti": rand.Text(),
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
