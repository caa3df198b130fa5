package upstream

import "context"

// Ping asks the registry itself, /v2/, with exactly the given Authorization header,
// "": with none, and fetches no token. It returns nil when the registry lets this in. An error of
// kind Unauthorized has what the registry wants.
func (r *Registry) Ping(ctx context.Context, authorization string) error {
	e, err := r.exchangeFor(Request{})
	if err != nil {
		return r.refuse(err)
	}
	e.authorization = authorization
	ctx, cancel := context.WithTimeoutCause(ctx, r.timeout, errNoHead)
	defer cancel()
	resp, away, err := r.follow(ctx, e)
	if err != nil {
		return err
	}
	defer discard(resp)
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return r.statusError(resp, Client(authorization), e.what, away)
}
