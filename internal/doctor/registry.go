package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// challenge is what a registry says of where its tokens come from.
type challenge struct{ realm, service string }

var parameter = regexp.MustCompile(`(\w+)="([^"]*)"`)

// challengeIn finds a Bearer challenge (RFC 6750, section 3).
func challengeIn(h http.Header) (challenge, bool) {
	for _, value := range h.Values("Www-Authenticate") {
		scheme, rest, _ := strings.Cut(value, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			continue
		}
		var c challenge
		for _, p := range parameter.FindAllStringSubmatch(rest, -1) {
			switch strings.ToLower(p[1]) {
			case "realm":
				c.realm = p[2]
			case "service":
				c.service = p[2]
			}
		}
		return c, c.realm != ""
	}
	return challenge{}, false
}

// pull is the part of a pull that is taken on one way.
type pull struct {
	*run
	way      way
	registry Target
	token    string
	named    []Target // hosts that it was sent to
}

// Media types of manifests: those of an image for one platform, and of an index.
const manifestTypes = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, " +
	"application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"

// registry goes on as a pull does: token, manifest, redirect of a blob, the blob's
// first bytes.
func (r *run) registry(ctx context.Context, w way, t Target, c challenge) []Target {
	if r.image.Registry != "" && r.image.Registry != t.String() {
		return nil
	}
	p := &pull{run: r, way: w, registry: t}
	if !p.authorize(ctx, c) {
		return p.named
	}
	digest := p.manifest(ctx)
	if digest == "" {
		return p.named
	}
	if at := p.redirect(ctx, digest); at != nil {
		p.blob(ctx, at)
	}
	return p.named
}

// start begins a step that belongs to the registry's pull.
func (p *pull) start(host, name string) *Step {
	s := p.begin(p.way.name, host, name)
	s.Registry, s.Image = p.registry.String(), p.run.image.Repository
	return s
}

// on notes the host of a URL as one to examine, too. Only https will do: what is
// sent there has a token in it, or is run as a program later.
func (p *pull) on(u *url.URL, why string) (Target, error) {
	if u.Scheme != "https" || u.Hostname() == "" {
		return Target{}, fmt.Errorf("sent to %s://%s, which is not https", u.Scheme, u.Host)
	}
	t, err := urlHost(u, why)
	t.Needed = true
	if err == nil {
		p.named = append(p.named, t)
	}
	return t, err
}

func (p *pull) authorize(ctx context.Context, c challenge) bool {
	realm, err := url.Parse(c.realm)
	if err != nil {
		realm = new(url.URL)
	}
	t, err := p.on(realm, whyToken)
	if err != nil {
		return p.end(p.start(p.registry.String(), stepToken), Failed, err.Error())
	}
	s := p.start(t.String(), stepToken)
	q := realm.Query()
	if c.service != "" {
		q.Set("service", c.service)
	}
	q.Set("scope", "repository:"+p.run.image.Repository+":pull")
	realm.RawQuery = q.Encode()
	a, err := p.ask(ctx, p.way, http.MethodGet, realm, http.Header{})
	if err != nil {
		p.failed(s, err)
		return false
	}
	var body struct {
		Token  string `json:"token"`
		Access string `json:"access_token"` // RFC 6749's name for it
	}
	s.Status = a.status
	_ = json.Unmarshal(a.body, &body) // no token then, and that is told
	if p.token = cmp.Or(body.Token, body.Access); p.token == "" {
		return p.end(s, statusOutcome(a.status), fmt.Sprintf("%s answers %d, no token", t.Host, a.status))
	}
	return p.end(s, OK, fmt.Sprintf("%s, %s", t.Host, short(time.Since(s.began))))
}

func statusOutcome(status int) Outcome {
	switch status {
	case http.StatusTooManyRequests:
		return RateLimited
	case http.StatusNotFound, http.StatusUnauthorized, http.StatusForbidden:
		return NoImage
	}
	return BadStatus
}

// get asks the registry with the token.
func (p *pull) get(ctx context.Context, method, path string) (*answer, error) {
	u := &url.URL{Scheme: "https", Host: p.registry.urlHost(), Path: "/v2/" + p.run.image.Repository + path}
	return p.ask(ctx, p.way, method, u, http.Header{
		"Authorization": {"Bearer " + p.token}, "Accept": {manifestTypes},
	})
}

// manifest asks for the manifest's head, which Docker Hub does not count as a pull,
// and then follows it to a layer. It returns the layer's digest, or "".
func (p *pull) manifest(ctx context.Context) string {
	s := p.start(p.registry.String(), stepManifest)
	a, err := p.get(ctx, http.MethodHead, "/manifests/"+p.run.image.Reference)
	if err != nil {
		p.failed(s, err)
		return ""
	}
	s.Status, s.Digest = a.status, clean(a.header.Get("Docker-Content-Digest"))
	s.RateLimit, s.RateRemaining = clean(a.header.Get("Ratelimit-Limit")), clean(a.header.Get("Ratelimit-Remaining"))
	if a.status != http.StatusOK {
		p.end(s, statusOutcome(a.status), p.noManifest(a.status))
		return ""
	}
	sentence := fmt.Sprintf("%s, %s", p.run.image.Repository, short(time.Since(s.began)))
	if s.RateRemaining != "" {
		left, _, _ := strings.Cut(s.RateRemaining, ";")
		all, _, _ := strings.Cut(s.RateLimit, ";")
		sentence += fmt.Sprintf("; %s of %s pulls left", left, all)
	}
	digest, status, err := p.layer(ctx, p.run.image.Reference)
	switch {
	case err != nil:
		p.failed(s, err)
		return ""
	case digest == "":
		p.end(s, statusOutcome(status), p.noManifest(status))
		return ""
	}
	p.end(s, OK, sentence)
	return digest
}

func (p *pull) noManifest(status int) string {
	switch statusOutcome(status) {
	case RateLimited:
		return "too many pulls from this address: 429"
	case NoImage:
		return fmt.Sprintf("%d: has no %s for everybody", status, p.run.image.Repository)
	}
	return fmt.Sprintf("answers %d", status)
}

// manifestBody is what is read of a manifest or an index of manifests.
type manifestBody struct {
	Manifests []struct {
		Digest   string
		Platform struct{ Architecture, OS string }
	}
	Layers []struct{ Digest string }
}

// layer finds the digest of an image's first layer, through an index if need be.
func (p *pull) layer(ctx context.Context, reference string) (digest string, status int, err error) {
	for range 2 {
		a, err := p.get(ctx, http.MethodGet, "/manifests/"+reference)
		if err != nil || a.status != http.StatusOK {
			if a != nil {
				status = a.status
			}
			return "", status, err
		}
		var m manifestBody
		if err := json.Unmarshal(a.body, &m); err != nil {
			return "", a.status, fmt.Errorf("%w: the manifest cannot be read", errNotHTTP)
		}
		if len(m.Layers) > 0 {
			return digestIn(m.Layers[0].Digest), a.status, nil
		}
		reference = m.platform()
		if reference == "" {
			break
		}
	}
	return "", http.StatusNotFound, nil
}

// platform is the image for this machine, or else the first of the index.
func (m *manifestBody) platform() string {
	first := ""
	for _, of := range m.Manifests {
		if first == "" {
			first = digestIn(of.Digest)
		}
		if of.Platform.OS == "linux" && of.Platform.Architecture == runtime.GOARCH {
			return digestIn(of.Digest)
		}
	}
	return first
}

var digestPattern = regexp.MustCompile(`^[a-z0-9+._-]+:[0-9a-fA-F]{32,128}$`)

// digestIn lets through what is a digest: it becomes part of a path.
func digestIn(text string) string {
	if !digestPattern.MatchString(text) {
		return ""
	}
	return text
}

// redirect asks for a blob and returns where it is; nil: the registry has sent it
// by itself, or nothing.
func (p *pull) redirect(ctx context.Context, digest string) *url.URL {
	s := p.start(p.registry.String(), stepRedirect)
	s.Digest = digest
	a, err := p.get(ctx, http.MethodGet, "/blobs/"+digest)
	if a == nil {
		p.failed(s, err)
		return nil
	}
	s.Status = a.status
	switch {
	case a.status == http.StatusOK:
		s.received(a)
		p.end(s, OK, "none: the registry sends the blob itself"+s.told())
		return nil
	case a.status/100 != 3:
		p.end(s, statusOutcome(a.status), fmt.Sprintf("answers %d for the blob", a.status))
		return nil
	}
	at, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		p.end(s, NotHTTP, "redirects to what is no URL")
		return nil
	}
	if !at.IsAbs() {
		at = (&url.URL{Scheme: "https", Host: p.registry.String(), Path: "/"}).ResolveReference(at)
	}
	t, err := p.on(at, whyRedirect)
	if err != nil {
		p.end(s, Failed, err.Error())
		return nil
	}
	s.Location = t.String()
	p.end(s, OK, "to "+t.Host)
	return at
}

// blob reads the blob's first bytes at the host that has it.
func (p *pull) blob(ctx context.Context, at *url.URL) {
	t, err := urlHost(at, whyRedirect)
	if err != nil {
		return
	}
	s := p.start(t.String(), stepBlob)
	a, err := p.ask(ctx, p.way, http.MethodGet, at, http.Header{})
	if a == nil {
		p.failed(s, err)
		return
	}
	s.Status = a.status
	s.received(a)
	switch {
	case a.status != http.StatusOK:
		p.end(s, BadStatus, fmt.Sprintf("answers %d for the blob", a.status))
	case err != nil && len(a.body) == 0:
		p.failed(s, err)
	case err != nil && outcomeOf(err) == TimedOut && s.Bytes >= worthTiming:
		p.end(s, OK, "slow"+s.told())
	case err != nil:
		p.end(s, outcomeOf(err), fmt.Sprintf("stops after %s: %s", size(s.Bytes), sentenceOf(err, time.Since(s.began))))
	default:
		p.end(s, OK, fmt.Sprintf("first byte after %s%s", short(time.Since(s.began)-a.rest), s.told()))
	}
}

// received notes how much came, and how fast.
func (s *Step) received(a *answer) {
	s.Bytes = int64(len(a.body))
	if a.rest > 0 {
		s.Speed = float64(int64(float64(s.Bytes) / a.rest.Seconds()))
	}
}

// worthTiming is how many bytes say something about a speed.
const worthTiming = 64 << 10

func (s *Step) told() string {
	if s.Bytes < worthTiming {
		return ", " + size(s.Bytes)
	}
	return fmt.Sprintf(", %s at %s/s", size(s.Bytes), size(int64(s.Speed)))
}

// size is a number of bytes in powers of ten.
func size(n int64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
