package pull

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/upstream"
)

// pingTime is how long a client waits for what the registry itself says. Docker waits
// for 15 seconds, and would do without the answer.
const pingTime = 5 * time.Second

// Ping asks a registry, in the name of a client who takes the mirror for it, whether
// it lets that client in: docker, skopeo and crane find out there, and nowhere else,
// whether they have to log in. It returns nil when it does, or cannot be asked now;
// otherwise an *oci.Error with the registry's challenge. authorization is the client's
// own header, "" for none.
func (m *Mirror) Ping(ctx context.Context, registry, authorization string) error {
	repo := oci.Repository{Registry: registry}
	up, err := m.upstream(repo)
	if err != nil {
		return err
	}
	as := ""
	if authorization != "" {
		who := m.knowledge.digest(authorization)
		as = hex.EncodeToString(who[:])
	}
	_, _, err = ask(ctx, m, question{repo, "ping", "", as}, func(ctx context.Context) (struct{}, error) {
		ctx, cancel := context.WithTimeout(ctx, pingTime)
		defer cancel()
		return struct{}{}, up.Registry.Ping(ctx, authorization)
	}, nil)
	challenge := challengeOf(err)
	scheme, _, _ := strings.Cut(challenge, " ")
	switch {
	case kindOf(err) != upstream.Unauthorized || challenge == "":
		return nil
	case authorization == "" && strings.EqualFold(scheme, "Basic") && up.Registry.HasCredentials():
		return nil // clients that a rule names need none, and would not come without
	}
	e := oci.Errorf(http.StatusUnauthorized, oci.Unauthorized, "%s wants credentials", registry).Because(err)
	e.Challenge = challenge
	return e
}
