package config

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/crypto/bcrypt"

	"sluice/internal/config/strict"
)

// Bounds of a hash's cost. Each step doubles the processor time that checking
// one password takes, right or wrong: some 60 ms at 10, a second at 14.
const (
	minCost = bcrypt.MinCost
	maxCost = 14
)

func (b *builder) users() {
	seen := make(map[string]int)
	for i, u := range b.file.User {
		at := strict.InFile("user", i)
		if f := checkUserName(u.Name); f != nil {
			if !b.report.Errors.Has(at.Sub("name")) {
				b.report.Errors.Add(at.Sub("name"), f)
			}
		} else if first, dup := seen[u.Name]; dup {
			b.report.Errors.Addf(at.Sub("name"), "give each user one entry", "user %q is entry %d already", u.Name, first+1)
		} else {
			seen[u.Name] = i
		}
		if f := checkHash(u.Name, u.Password); f != nil && !b.report.Errors.Has(at.Sub("password")) {
			b.report.Errors.Add(at.Sub("password"), f)
		}
		b.config.Users = append(b.config.Users, User{u.Name, []byte(u.Password)})
	}
}

// checkUserName holds a name to what both protocols can carry: Basic credentials
// end a name at the first colon (RFC 7617, section 2), and SOCKS5 has one byte
// for its length (RFC 1929, section 2).
func checkUserName(name string) *strict.Fault {
	switch {
	case name == "":
		return strict.Faultf(`write name = "alice"`, "the user has no name")
	case strings.ContainsRune(name, ':'):
		return strict.Faultf("take the colon out", "a user's name has no colon, and %q does", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return strict.Faultf("take it out", "%q has a control character", name)
	case len(name) > 255:
		return strict.Faultf("write a shorter one", "a user's name has at most 255 bytes")
	}
	return nil
}

// checkHash makes sure of a bcrypt hash. It never repeats the text, which may be
// a password in clear.
func checkHash(user, hash string) *strict.Fault {
	f := strict.Faultf(`write the hash that "htpasswd -nBC 10 NAME" prints behind the name (Debian has it in apache2-utils)`,
		"the password of user %q is not a bcrypt hash", user)
	if hash == "" {
		f.Problem = fmt.Sprintf("user %q has no password", user)
		return f
	}
	cost, err := bcrypt.Cost([]byte(hash))
	if _, isCost := err.(bcrypt.InvalidCostError); isCost {
		f.Problem = fmt.Sprintf("the password of user %q has a cost out of bounds", user)
		return f
	}
	if err != nil || len(hash) != 60 || !strings.HasPrefix(hash, "$2") || !strings.ContainsRune("aby", rune(hash[2])) ||
		strings.Trim(hash[7:], "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return f
	}
	if cost < minCost || cost > maxCost {
		f.Problem = fmt.Sprintf("the password of user %q has cost %d, and %d is the most: each check would take seconds", user, cost, maxCost)
		return f
	}
	return nil
}
