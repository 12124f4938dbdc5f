package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/api"

	"nomad-driver-connect/hook"
	"nomad-driver-connect/serve"
)

// serveOptions are the flags of hook -serve. What Nomad is reached with over TLS
// is in the environment, as for nomad's own commands.
type serveOptions struct {
	address string // empty for no server
	nomad   string
	onError string
	tls     serve.TLS
	drain   time.Duration
	logJSON bool
}

// serveOnly are those that mean nothing without -serve.
var serveOnly = []string{"nomad", "on-error", "tls-cert", "tls-key", "tls-client-ca", "drain-timeout", "log-json"}

// notServed are those of the hook that are about one job file.
var notServed = []string{"var", "var-file", "json", "out", "diff", "check", "strict"}

func (o *serveOptions) flags(fs *flag.FlagSet) {
	fs.StringVar(&o.address, "serve", "", "Stand before Nomad's HTTP API at this `address` (host:port, or unix:///path), and rewrite jobs that are registered, planned or validated through it. There is no job file then.")
	fs.StringVar(&o.nomad, "nomad", api.DefaultConfig().Address, "With -serve: the `address` of Nomad's HTTP API, as http://host:port, https://host:port or unix:///path. NOMAD_ADDR is its default; NOMAD_CACERT, NOMAD_CAPATH, NOMAD_CLIENT_CERT, NOMAD_CLIENT_KEY, NOMAD_TLS_SERVER_NAME and NOMAD_SKIP_VERIFY hold for TLS. Tokens are the clients' own.")
	fs.StringVar(&o.onError, "on-error", string(serve.Refuse), "With -serve: what becomes of a job that cannot be rewritten, `refuse|pass`: the client gets the reason, or Nomad the job as it is.")
	fs.StringVar(&o.tls.CertFile, "tls-cert", "", "With -serve: the `file` with the certificate that clients are shown, in PEM. It may be renewed meanwhile.")
	fs.StringVar(&o.tls.KeyFile, "tls-key", "", "With -serve: the `file` with its key.")
	fs.StringVar(&o.tls.ClientCAFile, "tls-client-ca", "", "With -serve: the `file` with those who sign certificates of clients. Then clients need one.")
	fs.DurationVar(&o.drain, "drain-timeout", 10*time.Second, "With -serve: how `long` requests may take to end after SIGTERM. Then streams and terminals are cut off.")
	fs.BoolVar(&o.logJSON, "log-json", false, "With -serve: write the log as JSON.")
}

// validate checks what is set in fs against each other.
func (o *serveOptions) validate(fs *flag.FlagSet) error {
	set := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if !set["serve"] {
		for _, name := range serveOnly {
			if set[name] {
				return fmt.Errorf("-%s is for -serve; leave it out, or say with -serve where to listen", name)
			}
		}
		return nil
	}
	for _, name := range notServed {
		if set[name] {
			return fmt.Errorf("-%s is about one job file, and -serve takes jobs as they come; leave one out", name)
		}
	}
	switch {
	case o.address == "":
		return errors.New("-serve is where to listen, as 127.0.0.1:4645 or unix:///path, and not empty")
	case fs.NArg() != 0:
		return fmt.Errorf("%d files are given; with -serve jobs come from clients, and there is none", fs.NArg())
	case o.onError != string(serve.Refuse) && o.onError != string(serve.Pass):
		return fmt.Errorf("-on-error is refuse or pass, and not %q", o.onError)
	case o.drain < 0:
		return fmt.Errorf("-drain-timeout is how long requests may take to end, and not %s", o.drain)
	}
	return nil
}

// run serves until the process is told to end. A second signal ends it at once.
func (o *serveOptions) run(hooked hook.Options, ignore []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop)
	server, err := serve.New(ctx, serve.Config{
		Address: o.address, TLS: o.tls, Nomad: o.nomad, NomadTLS: api.DefaultConfig().TLSConfig,
		Hook: hooked, Ignore: ignore, OnError: serve.OnError(o.onError), Drain: o.drain,
		Log: hclog.New(&hclog.LoggerOptions{Name: "hook", Output: os.Stderr, JSONFormat: o.logJSON}),
	})
	if err != nil {
		return err
	}
	return server.Run(ctx)
}
