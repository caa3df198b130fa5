package record

import (
	"time"

	"go.uber.org/zap/zapcore"

	"sluice/internal/accesslog"
)

// Field is a field of a record.
type Field struct {
	Name, Meaning string
}

// fields are the fields in the order in which they are written, each with its meaning
// for the reference and how it is taken from a record.
var fields = []struct {
	Field
	add func(string, zapcore.ObjectEncoder, *Record)
}{
	{Field{"id", "the request's identifier, 16 hex digits"},
		func(name string, e zapcore.ObjectEncoder, r *Record) { e.AddString(name, r.ID.String()) }},
	{Field{"start", "when the request's header had been read"},
		func(name string, e zapcore.ObjectEncoder, r *Record) {
			e.AddByteString(name, accesslog.AppendTime(nil, r.Start))
		}},
	{Field{"listener", "the listener's configured address"}, text(func(r *Record) string { return r.Listener })},
	{Field{"client", "source address"},
		func(name string, e zapcore.ObjectEncoder, r *Record) {
			if a := r.Client.Addr(); a.IsValid() {
				e.AddString(name, a.String())
			}
		}},
	{Field{"client_port", "source port"}, number(func(r *Record) int64 { return int64(r.Client.Port()) })},
	{Field{"user", "the user who logged in at the mirror"}, text(func(r *Record) string { return r.User })},
	{Field{"agent", "what the client calls itself: its User-Agent"}, text(func(r *Record) string { return r.Agent })},
	{Field{"method", "the request's method"}, text(func(r *Record) string { return r.Method })},
	{Field{"path", "the request's path, where it names no repository"}, text(func(r *Record) string { return r.Path })},
	{Field{"registry", "the registry as image names call it: `docker.io`"}, text(func(r *Record) string { return r.Registry })},
	{Field{"repository", "the repository within it: `library/alpine`"}, text(func(r *Record) string { return r.Repository })},
	{Field{"kind", "manifest, blob, tags, referrers, ping (`/v2/` itself) or other, as whatever is asked by a client that no rule admits"}, text(func(r *Record) string { return string(r.Kind) })},
	{Field{"reference", "the tag or digest that was asked for"}, text(func(r *Record) string { return r.Reference })},
	{Field{"digest", "the digest of what was served"}, text(func(r *Record) string { return r.Digest })},
	{Field{"status", "HTTP status of the answer"}, number(func(r *Record) int64 { return int64(r.Status) })},
	{Field{"code", "code of an error as registries have them: DENIED, MANIFEST_UNKNOWN"}, text(func(r *Record) string { return r.Code })},
	{Field{"how", "where the answer came from: hit, miss, joined, revalidated, stale or passed (see below); left out where nothing was looked up"},
		text(func(r *Record) string { return r.How })},
	{Field{"bytes", "bytes of the answer's body that went out"},
		func(name string, e zapcore.ObjectEncoder, r *Record) { e.AddInt64(name, r.Bytes) }},
	{Field{"duration_seconds", "time from the header to the end of the answer"},
		func(name string, e zapcore.ObjectEncoder, r *Record) {
			e.AddDuration(name, r.Duration.Round(time.Microsecond))
		}},
	{Field{"rule", "the rule that decided"}, text(func(r *Record) string { return r.Rule })},
	{Field{"stale_reason", "why the upstream could not be asked, where how is stale"}, text(func(r *Record) string { return r.StaleReason })},
	{Field{"error", "what went wrong, with its causes; the client is told no more than it needs"}, text(func(r *Record) string { return r.Error })},
}

func text(of func(*Record) string) func(string, zapcore.ObjectEncoder, *Record) {
	return func(name string, e zapcore.ObjectEncoder, r *Record) {
		if s := of(r); s != "" {
			e.AddString(name, s)
		}
	}
}

func number(of func(*Record) int64) func(string, zapcore.ObjectEncoder, *Record) {
	return func(name string, e zapcore.ObjectEncoder, r *Record) {
		if n := of(r); n != 0 {
			e.AddInt64(name, n)
		}
	}
}

// Fields lists the fields of a record in the order in which they are written. Empty
// ones are left out of a record, but for bytes and duration_seconds.
func Fields() []Field {
	list := make([]Field, len(fields))
	for i, f := range fields {
		list[i] = f.Field
	}
	return list
}

// MarshalLogObject adds the fields of the record.
func (r *Record) MarshalLogObject(e zapcore.ObjectEncoder) error {
	for i := range fields {
		fields[i].add(fields[i].Name, e, r)
	}
	return nil
}
