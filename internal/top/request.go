package top

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"sluice/internal/adminclient"
)

// kind is what a request asks the proxy for.
type kind int

const (
	lookUp     kind = iota // a tunnel as it stands now
	explain                // what the rules say of a refusal
	killTunnel             // to end one tunnel
	killClient             // to end all tunnels of a client
)

// request is one question to the admin interface.
type request struct {
	kind             kind
	id               string // of the transaction
	client, to, user string
	what             string // a name for what is killed
}

// answer is what came of a request.
type answer struct {
	*request
	object      json.RawMessage
	explanation adminclient.Explanation
	killed      int
	err         error
}

// do asks, and gives up when ctx ends.
func (r *request) do(ctx context.Context, c *adminclient.Client) answer {
	a := answer{request: r}
	var killed struct{ Killed int }
	switch r.kind {
	case lookUp:
		a.err = c.Get(ctx, "/tunnels/"+r.id, nil, &a.object)
	case explain:
		query := url.Values{"client": {r.client}, "to": {r.to}}
		if r.user != "" {
			query.Set("user", r.user)
		}
		a.err = c.Get(ctx, "/explain", query, &a.explanation)
	case killTunnel:
		a.err = c.Delete(ctx, "/tunnels/"+r.id, nil, &killed)
	case killClient:
		a.err = c.Delete(ctx, "/tunnels", url.Values{"client": {r.client}}, &killed)
	}
	a.killed = killed.Killed
	return a
}

// gone tells that the proxy does not know the tunnel any more.
func (a *answer) gone() bool {
	var e *adminclient.Error
	return errors.As(a.err, &e) && e.Status == http.StatusNotFound
}

// note is a sentence on what came of a kill.
func (a *answer) note() string {
	switch {
	case a.kind == killTunnel && a.gone():
		return "it has ended already: " + a.what
	case a.err != nil:
		return "not killed: " + clean(a.err.Error())
	case a.kind == killTunnel:
		return "killed " + a.what
	}
	return fmt.Sprintf("killed %d: %s", a.killed, a.what)
}
