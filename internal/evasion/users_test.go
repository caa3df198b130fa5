//go:build linux

package evasion

import (
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// userRules have two users, with the passwords "a" and "b".
const userRules = `
[[listener]]
address = "127.0.0.1:0"
[[user]]
name = "alice"
password = "$ALICE"
[[user]]
name = "bob"
password = "$BOB"
[[rule]]
name = "not-alice"
action = "deny"
users = ["alice"]
to = ["secret.test"]
[[rule]]
name = "staff"
action = "allow"
clients = ["127.0.0.0/8"]
users = ["alice", "bob"]
[egress]
prefer = "auto"
`

// A rule that denies to a user holds whatever the user does with the credentials,
// so long as the rules that allow ask for a user.
func TestNoCredentialsLeadPastARuleAgainstAUser(t *testing.T) {
	p := start(t, withPasswords(t, userRules), 80)
	for _, c := range []struct {
		login, host string
		outcome     verdict
	}{
		{"alice:a", "secret.test", denied}, {"bob:b", "secret.test", passes},
		{"alice:a", "other.test", passes}, {"bob:b", "other.test", passes},
		{"", "secret.test", "auth_required"}, {"", "other.test", "auth_required"},
		{"alice:b", "secret.test", "auth_required"}, {"ALICE:a", "secret.test", "auth_required"}, {"alice :a", "secret.test", "auth_required"},
		{"alice\x00:a", "secret.test", "auth_required"}, {"bob:", "secret.test", "auth_required"}, {":", "secret.test", "auth_required"}, {"nobody:b", "secret.test", "auth_required"},
		{"alice:a", "SECRET.test.", denied}, {"alice:a", "\uff53ecret.test", denied},
	} {
		for _, w := range ways {
			o := p.ask(t, w, w.login(c.login, c.host))
			if o.record.Outcome != string(c.outcome) {
				t.Errorf("%s, %q to %s: %+v, want %s", w, c.login, c.host, o, c.outcome)
			}
			if c.outcome != passes && (o.connects != 0 || o.datagrams != 0) {
				t.Errorf("%s, %q to %s: %+v", w, c.login, c.host, o)
			}
		}
	}
}

func withPasswords(t *testing.T, file string) string {
	for name, password := range map[string]string{"$ALICE": "a", "$BOB": "b"} {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		file = strings.Replace(file, name, string(hash), 1)
	}
	return file
}

// login asks for port 80 of a host with "user:password", or without.
func (w way) login(login, host string) []byte {
	if w == socks {
		ask := socksRequest(atypName, host, 80)
		if login == "" {
			return ask
		}
		user, password, _ := strings.Cut(login, ":")
		b := append([]byte{5, 1, 2, 1, byte(len(user))}, user...)
		b = append(append(b, byte(len(password))), password...)
		return append(b, ask[3:]...)
	}
	b, _ := w.request(host, "80")
	if login == "" {
		return b
	}
	field := "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(login)) + "\r\n\r\n"
	return append(b[:len(b)-2], field...)
}
