package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// helperTimeout bounds a run of a credential helper: those of clouds ask a server.
const helperTimeout = 30 * time.Second

// identityTokenUser is the user name that tells that the secret is an identity
// token (the protocol of docker-credential-helpers).
const identityTokenUser = "<token>"

// IsHelperName tells whether a name can be that of a credential helper: no path, and no
// option.
func IsHelperName(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// fromHelper takes the credentials from docker-credential-NAME, which reads what
// they are for from standard input and answers in JSON on standard output.
func fromHelper(c *credentials, o Options) error {
	if !IsHelperName(o.Helper) {
		return fmt.Errorf("credential helper %q: the name may have letters, digits, hyphens and underscores", o.Helper)
	}
	program, err := exec.LookPath("docker-credential-" + o.Helper)
	if err != nil {
		return fmt.Errorf("credential helper: %w", err)
	}
	server := o.HelperServer
	if server == "" {
		server = helperServer(o.Name)
	}
	var asked time.Time
	c.keep = func() bool {
		age := time.Since(asked)
		return age < helperDoubt || age < helperKeep && !c.doubt.Load()
	}
	c.read = func(ctx context.Context) (credential, error) {
		got, err := runHelper(ctx, program, server)
		if err != nil {
			return credential{}, fmt.Errorf("%s: %w", program, err)
		}
		asked = time.Now()
		return got, nil
	}
	return nil
}

// helperServer is the key under which docker login stores the credentials of a
// registry: Docker Hub's is the address of its first version.
func helperServer(name string) string {
	if name == "docker.io" {
		return "https://index.docker.io/v1/"
	}
	return name
}

func runHelper(ctx context.Context, program, server string) (credential, error) {
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	out := &bounded{max: maxSecret}
	cmd := exec.CommandContext(ctx, program, "get")
	cmd.Stdin = strings.NewReader(server)
	cmd.Stdout = out
	// A child of the helper's, an agent perhaps, may hold its standard output open.
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		if ctx.Err() != nil {
			return credential{}, fmt.Errorf("no answer in %s: %w", helperTimeout, context.Cause(ctx))
		}
		// Of a failure the protocol has the reason on standard output.
		return credential{}, fmt.Errorf("%w: %s", err, printable(out.String()))
	}
	var answer struct{ Username, Secret string }
	if out.cut || json.Unmarshal(out.Bytes(), &answer) != nil {
		return credential{}, errors.New("the answer cannot be read") // it may have the secret
	}
	switch {
	case answer.Secret == "":
		return credential{}, errors.New("the answer has no secret")
	case answer.Username == identityTokenUser:
		return credential{secret: answer.Secret, refresh: true}, nil
	case answer.Username == "" || strings.Contains(answer.Username, ":"):
		return credential{}, errors.New("the answer has no user name that Basic can carry")
	}
	return credential{username: answer.Username, secret: answer.Secret}, nil
}

// bounded keeps the first bytes of what a program says.
type bounded struct {
	bytes.Buffer
	max int
	cut bool
}

// Write takes everything, so that the program comes to its end.
func (b *bounded) Write(p []byte) (int, error) {
	if room := b.max - b.Len(); len(p) > room {
		b.cut = true
		b.Buffer.Write(p[:room])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}
