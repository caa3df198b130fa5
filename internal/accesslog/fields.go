package accesslog

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/internal/track"
)

// Field is a field of a record.
type Field struct {
	Name, Meaning string
}

// recordFields are the fields in the order in which they are written, each with
// its meaning for the reference and how it is taken from a record.
var recordFields = []struct {
	Field
	add func(*track.Record) zapcore.Field
}{
	{Field{"id", "the transaction's identifier, 16 hex digits; also told to the client in an error's body"},
		func(r *track.Record) zapcore.Field { return zap.Stringer("id", r.ID) }},
	{Field{"start", "when the request was read"},
		func(r *track.Record) zapcore.Field {
			return text("start", r.Start.UTC().Format("2006-01-02T15:04:05.000Z"))
		}},
	{Field{"listener", "the listener's configured address"},
		func(r *track.Record) zapcore.Field { return text("listener", r.Listener) }},
	{Field{"protocol", "connect, http or socks5"},
		func(r *track.Record) zapcore.Field { return text("protocol", r.Protocol.String()) }},
	{Field{"client", "source address"},
		func(r *track.Record) zapcore.Field { return text("client", r.Client.Addr().String()) }},
	{Field{"client_port", "source port"},
		func(r *track.Record) zapcore.Field { return number("client_port", int64(r.Client.Port())) }},
	{Field{"user", "authenticated user"},
		func(r *track.Record) zapcore.Field { return text("user", r.User) }},
	{Field{"method", "method of an HTTP request"},
		func(r *track.Record) zapcore.Field { return text("method", r.Method) }},
	{Field{"host", "destination as asked for: a name in ASCII or an address"},
		func(r *track.Record) zapcore.Field { return text("host", r.Host) }},
	{Field{"port", "destination port"},
		func(r *track.Record) zapcore.Field { return number("port", int64(r.Port)) }},
	{Field{"path", "path of an HTTP request, without its query"},
		func(r *track.Record) zapcore.Field { return text("path", r.Path) }},
	{Field{"address", "address and port that was dialled"},
		func(r *track.Record) zapcore.Field {
			if !r.Address.IsValid() {
				return zap.Skip()
			}
			return text("address", r.Address.String())
		}},
	{Field{"rule", "the rule that decided; left out when none matched"},
		func(r *track.Record) zapcore.Field { return text("rule", r.Rule) }},
	{Field{"decision", "allow or deny; left out when the request could not be read"},
		func(r *track.Record) zapcore.Field { return text("decision", r.Decision) }},
	{Field{"outcome", "ok, or what went wrong (see the table below)"},
		func(r *track.Record) zapcore.Field { return text("outcome", r.Outcome) }},
	{Field{"status", "HTTP status sent to the client; left out for SOCKS5 and where none was sent"},
		func(r *track.Record) zapcore.Field { return number("status", int64(r.Status)) }},
	{Field{"reason", "the sentence that the client was told, and the cause"},
		func(r *track.Record) zapcore.Field { return text("reason", r.Reason) }},
	{Field{"tries", "addresses dialled"},
		func(r *track.Record) zapcore.Field { return number("tries", int64(r.Tries)) }},
	{Field{"dns_seconds", "time of the resolution"},
		func(r *track.Record) zapcore.Field { return seconds("dns_seconds", r.DNS) }},
	{Field{"dial_seconds", "time from the first connect to an established connection"},
		func(r *track.Record) zapcore.Field { return seconds("dial_seconds", r.Dial) }},
	{Field{"total_seconds", "time from the request to the end"},
		func(r *track.Record) zapcore.Field {
			return zap.Duration("total_seconds", r.Total.Round(time.Microsecond))
		}},
	{Field{"bytes_up", "bytes relayed from client to origin"},
		func(r *track.Record) zapcore.Field { return zap.Int64("bytes_up", r.Up) }},
	{Field{"bytes_down", "bytes relayed from origin to client"},
		func(r *track.Record) zapcore.Field { return zap.Int64("bytes_down", r.Down) }},
	{Field{"closed_by", "who ended it first: client, origin or sluice"},
		func(r *track.Record) zapcore.Field { return text("closed_by", r.ClosedBy.String()) }},
	{Field{"closed_how", "fin, reset, idle, drain, killed or error"},
		func(r *track.Record) zapcore.Field { return text("closed_how", r.How) }},
}

// Fields lists the fields of a record in the order in which they are written.
// Empty ones are left out of a record, but for total_seconds and the counters.
func Fields() []Field {
	list := make([]Field, len(recordFields))
	for i, f := range recordFields {
		list[i] = f.Field
	}
	return list
}

func fields(r *track.Record) []zapcore.Field {
	list := make([]zapcore.Field, len(recordFields))
	for i, f := range recordFields {
		list[i] = f.add(r)
	}
	return list
}

func text(name, s string) zapcore.Field {
	if s == "" {
		return zap.Skip()
	}
	return zap.String(name, s)
}

func number(name string, n int64) zapcore.Field {
	if n == 0 {
		return zap.Skip()
	}
	return zap.Int64(name, n)
}

func seconds(name string, d time.Duration) zapcore.Field {
	if d == 0 {
		return zap.Skip()
	}
	return zap.Duration(name, d.Round(time.Microsecond))
}
