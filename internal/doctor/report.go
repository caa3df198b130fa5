package doctor

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
)

// wayName tells the two ways apart.
type wayName string

// The ways to a host.
const (
	Direct  wayName = "direct"
	Through wayName = "proxy"
)

// Outcome is what came of a step, in one word. DOCTOR.md has what each means.
type Outcome string

// All outcomes.
const (
	OK               Outcome = "ok"
	NoName           Outcome = "no_name"
	DNSFailed        Outcome = "dns_failed"
	TimedOut         Outcome = "timeout"
	Refused          Outcome = "refused"
	Reset            Outcome = "reset"
	Unreachable      Outcome = "unreachable"
	Denied           Outcome = "denied"
	ProxyFailed      Outcome = "proxy_failed"
	UnknownAuthority Outcome = "unknown_authority"
	WrongName        Outcome = "wrong_name"
	Expired          Outcome = "expired"
	NotYetValid      Outcome = "not_yet_valid"
	NotTLS           Outcome = "not_tls"
	NotHTTP          Outcome = "not_http"
	BadStatus        Outcome = "status"
	RateLimited      Outcome = "rate_limited"
	NoImage          Outcome = "no_image"
	Failed           Outcome = "error"
)

// Outcomes lists all outcomes.
func Outcomes() []Outcome {
	return []Outcome{
		OK, NoName, DNSFailed, TimedOut, Refused, Reset, Unreachable, Denied, ProxyFailed, UnknownAuthority,
		WrongName, Expired, NotYetValid, NotTLS, NotHTTP, BadStatus, RateLimited, NoImage, Failed,
	}
}

// The steps, in the order in which they are taken.
const (
	stepDNS      = "dns"
	stepTCP      = "tcp"
	stepTunnel   = "tunnel"
	stepTLS      = "tls"
	stepHTTP     = "http"
	stepToken    = "token"
	stepManifest = "manifest"
	stepRedirect = "redirect"
	stepBlob     = "blob"
)

func stepNames() []string {
	return []string{stepDNS, stepTCP, stepTunnel, stepTLS, stepHTTP, stepToken, stepManifest, stepRedirect, stepBlob}
}

// Report is all that an examination found. Its JSON is what DOCTOR.md describes.
type Report struct {
	Verdict      Verdict   `json:"verdict"`
	Started      time.Time `json:"started"`
	Milliseconds float64   `json:"ms"`
	Proxy        *Proxy    `json:"proxy,omitempty"`
	Hosts        []Host    `json:"hosts"`
	Steps        []Step    `json:"steps"`
	Facts        []Fact    `json:"facts"`

	began time.Time // Started, with the monotonic clock
}

// Verdict is what the steps and facts come to.
type Verdict struct {
	Code     Code     `json:"code"`
	Exit     int      `json:"exit"`
	Sentence string   `json:"sentence"`
	Next     []string `json:"next,omitempty"`
}

// Proxy is the proxy that was examined.
type Proxy struct {
	URL       string `json:"url"`
	Source    string `json:"source"`
	Reachable bool   `json:"reachable"`
	InPlace   bool   `json:"in_place"`
	Client    string `json:"client,omitempty"`

	address string   // HOST:PORT
	url     *url.URL // with its credentials: never printed
}

// Host is a destination, and what it came to on each way.
type Host struct {
	Host    string `json:"host"`
	Why     string `json:"why"`
	Needed  bool   `json:"needed"`
	Direct  string `json:"direct"`
	Through string `json:"proxy,omitempty"`
	Uses    string `json:"uses,omitempty"`

	name   string // without the port
	target Target
}

// Step is one step on the way to a host.
type Step struct {
	Host         string  `json:"host"`
	Way          wayName `json:"way"`
	Step         string  `json:"step"`
	Outcome      Outcome `json:"outcome"`
	Sentence     string  `json:"sentence"`
	Milliseconds float64 `json:"ms"`

	Resolvers   []Resolver   `json:"resolvers,omitempty"`
	Addresses   []Address    `json:"addresses,omitempty"`
	Refusal     *Refusal     `json:"refusal,omitempty"`
	Certificate *Certificate `json:"certificate,omitempty"`
	Status      int          `json:"status,omitempty"`
	Date        *time.Time   `json:"date,omitempty"`

	Registry      string  `json:"registry,omitempty"`
	Image         string  `json:"image,omitempty"`
	Digest        string  `json:"digest,omitempty"`
	Location      string  `json:"location,omitempty"`
	RateLimit     string  `json:"rate_limit,omitempty"`
	RateRemaining string  `json:"rate_remaining,omitempty"`
	Bytes         int64   `json:"bytes,omitempty"`
	Speed         float64 `json:"bytes_per_second,omitempty"`

	began time.Time
	skew  time.Duration // of this host's clock against Date; positive: ahead
}

// Resolver is what one name server answered.
type Resolver struct {
	Resolver     string   `json:"resolver"`
	Outcome      Outcome  `json:"outcome"`
	Addresses    []string `json:"addresses,omitempty"`
	Milliseconds float64  `json:"ms"`
}

// Address is what came of connecting to one address.
type Address struct {
	Address      string  `json:"address"`
	Outcome      Outcome `json:"outcome"`
	Milliseconds float64 `json:"ms"`
}

// Certificate is the one that a host showed.
type Certificate struct {
	Subject string    `json:"subject"`
	Issuer  string    `json:"issuer"`
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
}

// Fact is something about this host that bears on the verdict.
type Fact struct {
	Fact     string `json:"fact"`
	Level    Level  `json:"level"`
	Sentence string `json:"sentence"`
}

// Level says how much a fact matters.
type Level string

// The levels: a plain remark, something that is in order, what may go wrong, and
// what does.
const (
	Remark  Level = "remark"
	Good    Level = "good"
	Caution Level = "caution"
	Bad     Level = "bad"
)

// finish sorts the steps, derives what follows from them, and judges.
func (r *Report) finish(set *settings) {
	order := make(map[string]int, len(r.Hosts))
	for i, h := range r.Hosts {
		order[h.Host] = i + 1
	}
	place := func(s Step) int {
		if s.Registry != "" {
			return order[s.Registry]
		}
		return order[s.Host] // 0, the first: the proxy's own
	}
	steps := stepNames()
	slices.SortStableFunc(r.Steps, func(a, b Step) int {
		return cmp.Or(
			cmp.Compare(place(a), place(b)),
			cmp.Compare(slices.Index(steps, a.Step), slices.Index(steps, b.Step)),
			cmp.Compare(a.Way, b.Way),
		)
	})
	set.pulls = r.pulls()
	for i := range r.Hosts {
		h := &r.Hosts[i]
		h.Direct = r.reached(h.Host, Direct)
		if r.Proxy != nil {
			h.Through = r.reached(h.Host, Through)
			h.Uses = set.uses(h.target, r.Proxy.address)
		}
	}
	if r.Proxy != nil {
		r.Proxy.InPlace = slices.ContainsFunc(r.Hosts, func(h Host) bool { return h.Uses == string(Through) })
	}
	r.Facts = append(append([]Fact{}, set.facts(r)...), r.findings()...)
	r.Verdict = r.judge(set)
	r.Milliseconds = milliseconds(time.Since(r.began))
}

// pulls says that what was examined is what dockerd pulls from.
func (r *Report) pulls() bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Registry != "" }) ||
		slices.ContainsFunc(r.Hosts, func(h Host) bool { return h.name == hubRegistry })
}

// notTried is for a host that no step was taken to.
const notTried = "not_tried"

// reached is "ok" for a host that has answered on this way, or else the outcome
// of the first step that failed.
func (r *Report) reached(host string, w wayName) string {
	if s, ok := r.trouble(host, w); ok {
		return string(s.Outcome)
	}
	if !slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Host == host && s.Way == w }) {
		return notTried
	}
	return string(OK)
}

// trouble is the first step to a host that did not go well, if any: one of the
// walk to it, or else the blob that was read there. That a registry lacks an image
// is none.
func (r *Report) trouble(host string, w wayName) (Step, bool) {
	for _, name := range []string{stepDNS, stepTCP, stepTunnel, stepTLS, stepHTTP, stepBlob} {
		for _, s := range r.Steps {
			if s.Host == host && s.Way == w && s.Step == name && s.Outcome != OK && s.Outcome != NotTLS {
				return s, true
			}
		}
	}
	return Step{}, false
}

// took is how long a host took to answer on this way, all steps together.
func (r *Report) took(host string, w wayName) time.Duration {
	var sum float64
	for _, s := range r.Steps {
		if s.Host == host && s.Way == w && s.Registry == "" {
			sum += s.Milliseconds
		}
	}
	return time.Duration(sum * float64(time.Millisecond))
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

// maxSentence bounds what a stranger's answer may put on the screen, in bytes.
const maxSentence = 400

// clean takes from a text of unknown origin what could move a terminal's cursor.
func clean(text string) string {
	if len(text) > maxSentence {
		text = text[:maxSentence] + "..."
	}
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
}
