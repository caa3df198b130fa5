package adminclient

import (
	"encoding/json"
	"fmt"
	"time"
)

// Transaction is a live tunnel or a refusal: a record as it stood when it was
// sent. Its fields are named as in the records, where their meaning stands too.
type Transaction struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"` // the end; of refusals only
	Start    time.Time `json:"start"`
	Protocol string    `json:"protocol"`
	Client   string    `json:"client"`
	User     string    `json:"user"`
	Host     string    `json:"host"`
	Port     int       `json:"port"`
	Rule     string    `json:"rule"`
	Outcome  string    `json:"outcome"`
	Status   int       `json:"status"`
	Reason   string    `json:"reason"`
	Up       int64     `json:"bytes_up"`   // bytes, client to origin
	Down     int64     `json:"bytes_down"` // bytes, origin to client

	// Object is all of it, as it was sent.
	Object json.RawMessage `json:"-"`
}

// UnmarshalJSON keeps the object beside what it reads of it.
func (t *Transaction) UnmarshalJSON(b []byte) error {
	type fields Transaction // without this method
	if err := json.Unmarshal(b, (*fields)(t)); err != nil {
		return err
	}
	t.Object = append(json.RawMessage(nil), b...)
	return nil
}

// Start is the first event: what is live, and the totals.
type Start struct {
	Time       time.Time        `json:"time"`
	Version    string           `json:"version"`
	Started    time.Time        `json:"started"`
	MaxTunnels int              `json:"max_tunnels"`
	Draining   bool             `json:"draining"`
	Tunnels    []*Transaction   `json:"tunnels"`
	Refusals   []*Transaction   `json:"refusals"` // latest first
	Requests   map[string]int64 `json:"requests"` // by outcome, since the proxy's start
	Up         int64            `json:"bytes_up"` // since the proxy's start
	Down       int64            `json:"bytes_down"`
}

// Tick is what has changed in the second before it.
type Tick struct {
	Time         time.Time        `json:"time"`
	Draining     bool             `json:"draining"`
	Count        int              `json:"count"` // live transactions
	Up           int64            `json:"bytes_up"`
	Down         int64            `json:"bytes_down"`
	RateUp       float64          `json:"rate_up"` // bytes per second
	RateDown     float64          `json:"rate_down"`
	Requests     map[string]int64 `json:"requests"`
	Opened       []*Transaction   `json:"opened"`
	Closed       []string         `json:"closed"`
	Moved        []Moved          `json:"moved"`
	Refused      []*Transaction   `json:"refused"` // latest first
	Clients      []Share          `json:"clients"` // the busiest
	Destinations []Share          `json:"destinations"`
}

// Moved is where a tunnel's bytes stand, if that is not where they stood.
type Moved struct {
	ID       string
	Up, Down int64
}

// UnmarshalJSON reads ["id", bytes_up, bytes_down].
func (m *Moved) UnmarshalJSON(b []byte) error {
	list := []any{&m.ID, &m.Up, &m.Down}
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	if len(list) != 3 {
		return fmt.Errorf("%s is not an identifier and two counts", b)
	}
	return nil
}

// Share is a client's or a destination's part in what is live.
type Share struct {
	Client   string  `json:"client"` // an address, or an IPv6 network
	Host     string  `json:"host"`
	Tunnels  int     `json:"tunnels"`
	RateUp   float64 `json:"rate_up"` // bytes per second
	RateDown float64 `json:"rate_down"`
}

// Reload tells that the proxy was told to read its configuration anew.
type Reload struct {
	Time  time.Time `json:"time"`
	OK    bool      `json:"ok"`
	Error string    `json:"error"`
}

// Explanation is what the rules say of a client and a destination.
type Explanation struct {
	Allowed  bool   `json:"allowed"`
	Rule     string `json:"rule"`
	Sentence string `json:"sentence"`
	Steps    []Step `json:"steps"`
}

// Step is what one rule says.
type Step struct {
	Rule    string `json:"rule"`
	Action  string `json:"action"`
	Matched bool   `json:"matched"`
	Why     string `json:"why"`
}
