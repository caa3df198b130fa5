package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"sluice/internal/cli"
	"sluice/internal/config/strict"
	"sluice/internal/mirror/cachectl"
	"sluice/internal/mirror/settings"
)

// cacheCall is one invocation of the command cache.
type cacheCall struct {
	*cli.Call
	place    *settings.Flags
	json     bool
	to, rate string   // as given
	names    []string // behind the order
}

// errMisuse says that the command was called wrongly, which is then said already.
var errMisuse = errors.New("called wrongly")

// cache does what its first operand says.
func cache(c *cli.Call) int {
	fs := c.Flags()
	call := cacheCall{Call: c, place: placeFlags(fs)}
	fs.BoolVar(&call.json, "json", false, "print JSON")
	fs.Func("to", "prune: `SIZE` of what is left at most, such as 10GB, or 0", cli.Given(&call.to))
	fs.StringVar(&call.rate, "rate", "unlimited", "verify: `RATE` of reading, such as 50MB/s")
	names, code, done := operands(c, fs)
	if done {
		return code
	}
	order := ""
	if len(names) > 0 {
		order, call.names = names[0], names[1:]
	}
	do := map[string]func(context.Context) error{"ls": call.list, "rm": call.remove, "verify": call.verify, "prune": call.prune}[order]
	if do == nil {
		_ = call.misuse("say what to do: ls, rm, verify or prune")
		return cli.ExitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := do(ctx); {
	case errors.Is(err, errMisuse):
		return cli.ExitUsage
	case err != nil:
		return c.Fault(err)
	}
	return cli.ExitOK
}

func (c *cacheCall) misuse(sentence string) error {
	fmt.Fprintf(c.Stderr, "sluice-mirror cache: %s; see sluice-mirror cache -h\n", sentence)
	return errMisuse
}

// at tells where the cache is.
func (c *cacheCall) at() (cachectl.Place, error) {
	cfg, err := settings.Load(*c.place)
	if err != nil {
		return cachectl.Place{}, err
	}
	return cachectl.Place{Directory: cfg.Cache.Directory, Admin: cfg.Admin}, nil
}

// with opens the cache, does something, and closes it.
func (c *cacheCall) with(open func(cachectl.Place) (cachectl.Cache, error), do func(cachectl.Cache) error) error {
	place, err := c.at()
	if err != nil {
		return err
	}
	cache, err := open(place)
	if err != nil {
		return err
	}
	return errors.Join(do(cache), cache.Close())
}

func (c *cacheCall) list(ctx context.Context) error {
	if len(c.names) > 1 {
		return c.misuse("name one repository, registry or digest at most")
	}
	var target *cachectl.Target
	if len(c.names) == 1 {
		t, err := cachectl.ParseTarget(c.names[0])
		if err != nil {
			return err
		}
		target = &t
	}
	return c.with(cachectl.Look, func(cache cachectl.Cache) error {
		items, err := cache.List(ctx)
		if err != nil {
			return err
		}
		shown := []cachectl.Item{}
		for _, i := range items {
			if target == nil || target.Matches(i) {
				shown = append(shown, i)
			}
		}
		switch {
		case c.json:
			return c.print(map[string]any{"items": shown, "total": len(shown)})
		case target == nil:
			printRepositories(c.Stdout, shown)
		default:
			printItems(c.Stdout, shown)
		}
		return nil
	})
}

func (c *cacheCall) remove(ctx context.Context) error {
	if len(c.names) == 0 {
		return c.misuse("name what to remove: repositories, registries or digests")
	}
	targets := make([]cachectl.Target, len(c.names))
	for i, name := range c.names {
		var err error
		if targets[i], err = cachectl.ParseTarget(name); err != nil {
			return err
		}
	}
	return c.with(cachectl.Open, func(cache cachectl.Cache) error {
		var sum cachectl.Freed
		var errs []error
		for i, t := range targets {
			freed, err := cache.Remove(ctx, t)
			sum.Files += freed.Files
			sum.Bytes += freed.Bytes
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", c.names[i], err))
			}
		}
		return errors.Join(c.freed(sum), errors.Join(errs...))
	})
}

func (c *cacheCall) prune(ctx context.Context) error {
	switch {
	case len(c.names) > 0:
		return c.misuse("prune takes no names; cache rm does")
	case c.to == "":
		return c.misuse("say how much is to be left: --to 10GB, or --to 0")
	}
	var to int64
	if c.to != "0" {
		var err error
		if to, err = strict.ParseSize(c.to); err != nil {
			return fmt.Errorf("--to: %w", err)
		}
	}
	return c.with(cachectl.Open, func(cache cachectl.Cache) error {
		freed, err := cache.Prune(ctx, to)
		if err != nil {
			return err
		}
		return c.freed(freed)
	})
}

// freed says what was removed.
func (c *cacheCall) freed(f cachectl.Freed) error {
	if c.json {
		return c.print(f)
	}
	fmt.Fprintf(c.Stdout, "removed %s, %s\n", count(f.Files, "file"), sizeText(f.Bytes))
	return nil
}

// verify prints what is damaged, and at the end how much was looked at.
func (c *cacheCall) verify(ctx context.Context) error {
	if len(c.names) > 0 {
		return c.misuse("verify looks at all that is cached, and takes no names")
	}
	rate, err := strict.ParseRate(c.rate)
	if err != nil {
		return fmt.Errorf("--rate: %w", err)
	}
	return c.with(cachectl.Open, func(cache cachectl.Cache) error {
		sum := checkSum{Damaged: []cachectl.Checked{}}
		err := cache.Verify(ctx, rate, func(one cachectl.Checked) {
			sum.Files++
			sum.Bytes += one.Size
			if one.Error == "" {
				return
			}
			sum.Damaged = append(sum.Damaged, one)
			if !c.json {
				fmt.Fprintf(c.Stdout, "%s: %s\n", one.Digest, one.Error)
			}
		})
		if err != nil {
			return err
		}
		return c.summary(sum)
	})
}

// checkSum is what a verification has found.
type checkSum struct {
	Files   int                `json:"files"`
	Bytes   int64              `json:"bytes"`
	Damaged []cachectl.Checked `json:"damaged"`
}

func (c *cacheCall) summary(sum checkSum) error {
	if c.json {
		if err := c.print(sum); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.Stdout, "%s, %s: %d damaged\n", count(sum.Files, "file"), sizeText(sum.Bytes), len(sum.Damaged))
	}
	if len(sum.Damaged) > 0 {
		return fmt.Errorf("%s was damaged, and is not served any more", count(len(sum.Damaged), "file"))
	}
	return nil
}

func (c *cacheCall) print(v any) error {
	e := json.NewEncoder(c.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
