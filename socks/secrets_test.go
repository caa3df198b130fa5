package socks

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"sluice/acl"
	"sluice/internal/gate"
)

func TestNoRecordHasAPassword(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("hunter2"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(p *gate.Policy, r *acl.Rule) {
		p.Users, r.Users = gate.NewUsers(map[string][]byte{"ann": hash}), []string{"ann"}
	})
	for what, rest := range map[string]string{
		"right":   "\x01\x03ann\x07hunter2\x05\x01\x00\x01\x00\x00\x00\x00\x00\x50",
		"wrong":   "\x01\x03eve\x07hunter2\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50",
		"cut off": "\x01\x03ann\x09hunter2",
		"swapped": "\x01\x07hunter2\x03ann",
	} {
		c := b.dial()
		io.WriteString(c, "\x05\x01\x02"+rest)
		c.CloseWrite()
		answer, _ := io.ReadAll(c)
		r := b.record()
		if r.Outcome == "ok" || strings.Contains(fmt.Sprintf("%+v", r), "hunter2") || strings.Contains(string(answer), "hunter2") {
			t.Errorf("%s: answer %q, record %+v", what, answer, r)
		}
	}
}
