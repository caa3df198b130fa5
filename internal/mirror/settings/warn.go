package settings

import (
	"bufio"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"go.uber.org/zap"

	"sluice/acl"
	"sluice/internal/config/strict"
	"sluice/internal/mirror/access"
	"sluice/internal/mirror/authority"
	"sluice/internal/regular"
)

// warn looks for what is valid but hardly meant. It runs on a valid configuration.
func (b *builder) warn() {
	if b.hasFile && len(b.config.Rules) == 0 {
		b.warns().Addf(strict.Where{}, "add a [[rule]]", "there is no rule, so nobody may pull")
	}
	b.warnPairs()
	if t := b.config.Transparent; t != nil {
		b.tunnels.Warn(t.Policy, b.config.Egress.AllowPrivate)
	}
	b.warnUsers()
	b.warnFiles()
}

// warnPairs looks for rules that another one makes void. Those that grant something
// private have that to say wherever they stand, and where registries are told apart by
// their ports there is more to a rule than acl sees.
func (b *builder) warnPairs() {
	list := make([]acl.Rule, len(b.config.Rules))
	for i, r := range b.config.Rules {
		if slices.ContainsFunc(r.To, func(s string) bool { return strings.Contains(s, ":") }) || len(r.Private) > 0 {
			return
		}
		list[i] = r.Rule
	}
	if p, err := acl.New(list, nil); err == nil {
		b.rules.Warn(p, nil)
	}
}

// warnUsers points out users of rules who are not in the file, and a file that cannot
// be used. What is wrong with it now may be mended by the time of the start.
func (b *builder) warnUsers() {
	name := b.config.UsersFile
	if name == "" {
		return
	}
	at := strict.InFile("users", "file")
	b.warnSecret(name, at)
	if _, err := access.OpenUsers(name, zap.NewNop()); err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, regular.ErrNot) { // told already
			b.warns().Addf(at, `write lines as "htpasswd -B" does`, "%v", err)
		}
		return
	}
	known := userNames(name)
	for i, r := range b.config.Rules {
		for j, u := range r.Users {
			if !slices.Contains(known, u) {
				b.warns().Addf(b.rules.Part(i, "users", j), "add the user by htpasswd -B", "there is no user %q in %s", u, name)
			}
		}
	}
}

func userNames(file string) []string {
	f, _, err := regular.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	var names []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, _, _ := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		names = append(names, name)
	}
	return names
}

// warnFiles looks at the files that are named. That one is not there yet, or not to be
// read by who checks, is no error here: it is read at the start.
func (b *builder) warnFiles() {
	if len(b.flags.Upstream) == 0 {
		for i, u := range b.file.Upstream {
			b.warnSecret(u.PasswordFile, strict.InFile("upstream", i, "password_file"))
			b.warnAuthorities(u.CA, strict.InFile("upstream", i, "ca"))
		}
	}
	if len(b.flags.Listen) == 0 {
		for i, l := range b.file.Listener {
			b.warnFile(l.Certificate, strict.InFile("listener", i, "certificate"))
			b.warnSecret(l.Key, strict.InFile("listener", i, "key"))
			b.warnCertificate(l.Certificate, l.Key, strict.InFile("listener", i, "certificate"))
		}
	}
}

// warnCertificate points out a certificate and a key that a listener cannot use. That
// one of them is missing, or not to be read by who checks, is told elsewhere.
func (b *builder) warnCertificate(certificate, key string, at strict.Where) {
	if certificate == "" || key == "" {
		return
	}
	var file *fs.PathError
	if _, err := authority.ReadPair(certificate, key); err != nil && !errors.As(err, &file) {
		b.warns().Addf(at, "", "%s with %s is of no use: %v", certificate, key, err)
	}
}

// maxAuthorities bounds a file of them in bytes.
const maxAuthorities = 16 << 20

// warnAuthorities points out a file in which there is no authority.
func (b *builder) warnAuthorities(name string, at strict.Where) {
	if b.warnFile(name, at) == nil {
		return
	}
	if text, err := regular.Read(name, maxAuthorities); err == nil && !x509.NewCertPool().AppendCertsFromPEM(text) {
		b.warns().Addf(at, "", "%s has no certificate in it", name)
	}
}

// warnFile points out a file that is not there, or is none, for which it returns nil.
func (b *builder) warnFile(name string, at strict.Where) fs.FileInfo {
	if name == "" {
		return nil
	}
	info, err := os.Stat(name)
	var perr *fs.PathError
	switch {
	case errors.As(err, &perr):
		b.warns().Addf(at, "", "%s cannot be read: %v", name, perr.Err)
		return nil
	case err == nil && !info.Mode().IsRegular():
		b.warns().Addf(at, "", "%s is not a file", name)
		return nil
	}
	return info
}

// warnSecret points out a file that others than its owner and group may read.
func (b *builder) warnSecret(name string, at strict.Where) {
	if info := b.warnFile(name, at); info != nil && info.Mode().Perm()&0o007 != 0 {
		b.warns().Addf(at, "chmod o-rwx "+name, "%s can be read by every user of this machine", name)
	}
}
