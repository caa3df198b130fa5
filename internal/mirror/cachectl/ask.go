//go:build unix

package cachectl

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"sluice/internal/adminclient"
	"sluice/internal/config/strict"
	"sluice/internal/mirror/store"
)

// asked is a cache that a mirror runs on.
type asked struct{ client *adminclient.Client }

// ask returns the cache by the mirror that runs on it; because is why it is not to be
// had otherwise.
func ask(p Place, because error) (Cache, error) {
	if p.Admin == "" {
		return nil, fmt.Errorf("%w, and the admin interface of the mirror is off; [admin] address turns it on", because)
	}
	a := asked{adminclient.New(p.Admin)}
	if err := a.isOn(p.Directory); err != nil {
		_ = a.Close()
		return nil, fmt.Errorf("%w, and the mirror there: %w", because, err)
	}
	return a, nil
}

// isOn makes sure that the mirror at the address is the one of this cache.
func (a asked) isOn(directory string) error {
	var config struct{ Cache struct{ Directory string } }
	if err := a.client.Get(context.Background(), "/config", nil, &config); err != nil {
		return err
	}
	if config.Cache.Directory != directory {
		return fmt.Errorf("%s answers for the cache in %s, not %s", a.client.Address(), config.Cache.Directory, directory)
	}
	return nil
}

// Close closes connections.
func (a asked) Close() error { a.client.Close(); return nil }

// part is how many items are asked for at once.
const part = 10_000

func (a asked) List(ctx context.Context) ([]Item, error) {
	var list []Item
	query := url.Values{"limit": {strconv.Itoa(part)}}
	for {
		var answer struct {
			Items []Item
			After string
		}
		if err := a.client.Get(ctx, "/cache", query, &answer); err != nil {
			return nil, err
		}
		list = append(list, answer.Items...)
		if answer.After == "" {
			break
		}
		query.Set("after", answer.After)
	}
	slices.SortStableFunc(list, func(a, b Item) int {
		return cmp.Or(b.LastUsed.Compare(a.LastUsed), cmp.Compare(a.Digest, b.Digest))
	})
	return list, nil
}

func (a asked) Remove(ctx context.Context, t Target) (Freed, error) {
	var freed Freed
	err := a.client.Post(ctx, "/cache/remove", t.query(), &freed)
	if e := (*adminclient.Error)(nil); errors.As(err, &e) && e.Status == 404 {
		err = store.ErrNotCached
	}
	return freed, err
}

func (a asked) Prune(ctx context.Context, toSize int64) (Freed, error) {
	to := "0"
	if toSize > 0 {
		to = strict.Size(toSize).String()
	}
	var freed Freed
	return freed, a.client.Post(ctx, "/cache/prune", url.Values{"to": {to}}, &freed)
}

func (a asked) Verify(ctx context.Context, rate strict.Rate, found func(Checked)) error {
	ended := false
	err := a.client.PostLines(ctx, "/cache/verify", url.Values{"rate": {rate.String()}}, func(text []byte) error {
		var line struct {
			Checked
			Done *struct{ Error string }
		}
		if err := json.Unmarshal(text, &line); err != nil {
			return err
		}
		switch {
		case line.Done == nil:
			found(line.Checked)
		case line.Done.Error != "":
			return errors.New(line.Done.Error)
		default:
			ended = true
		}
		return nil
	})
	if err == nil && !ended {
		err = errors.New("the mirror has ended the check early")
	}
	return err
}
