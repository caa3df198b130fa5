package settings

import (
	"errors"
	"io/fs"

	"sluice/internal/config/strict"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

// warnStart points out what would keep a mirror from starting, in the words in which it
// would say so. It runs on a valid configuration.
func (b *builder) warnStart() {
	if len(b.flags.Upstream) == 0 {
		for i, u := range b.file.Upstream {
			b.warnCredentials(u, b.config.Upstreams[i].Name, strict.InFile("upstream", i))
		}
	}
	at := strict.InFile("cache", "directory")
	if b.flags.Cache != "" {
		at = strict.OnFlag("--cache")
	}
	if err := store.Usable(b.config.Cache.Directory); err != nil {
		b.warns().Addf(at, "", "cache %s: %v", b.config.Cache.Directory, err)
	}
}

// warnCredentials points out credentials that cannot be had. Of a password file that is
// not there, or not to be read by who checks, warnFiles tells what there is to tell.
func (b *builder) warnCredentials(u fileUpstream, name string, at strict.Where) {
	err := upstream.CheckCredentials(upstream.Options{
		Name: name, Username: u.Username, PasswordFile: u.PasswordFile, PasswordEnv: u.PasswordEnv, Helper: u.Helper,
	})
	if err == nil {
		return
	}
	switch {
	case u.Helper != "":
		at = at.Sub("helper")
	case u.PasswordEnv != "":
		at = at.Sub("password_env")
	default:
		var file *fs.PathError
		if errors.As(err, &file) {
			return
		}
		at = at.Sub("password_file")
	}
	b.warns().Addf(at, "", "%v", err)
}
