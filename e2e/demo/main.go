// Command demo shows the driver at work on this machine: real Consul, Nomad and
// Envoy on free ports, a job, and lines that go through the mesh. On a
// terminal it stays until Ctrl-C. It leaves nothing behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"nomad-driver-connect/e2e/agents"
)

func main() {
	tools := flag.String("tools", ".tools/bin", "directory with consul, nomad and envoy")
	plugin := flag.String("plugin", "bin/nomad-driver-connect", "the built driver")
	name := flag.String("demo", "echo", "which demo to run")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // who stops reading does not stop the cleaning up
	if err := run(ctx, *name, agents.Options{Tools: *tools, Plugin: *plugin}); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demos by their names.
var demos = map[string]func(context.Context, *agents.Cluster) error{
	"calculator": calculator,
	"echo":       echo,
}

func run(ctx context.Context, name string, opts agents.Options) (err error) {
	show, ok := demos[name]
	if !ok {
		return fmt.Errorf("there is no demo %q; there are: %s", name, strings.Join(slices.Sorted(maps.Keys(demos)), ", "))
	}
	if os.Geteuid() != 0 {
		return errors.New("Nomad's client needs root; run: sudo -E make demo")
	}
	began := time.Now()
	fmt.Println("==> Starting Consul and Nomad with the driver installed")
	c, err := agents.StartCluster(ctx, opts)
	if err != nil {
		return err
	}
	defer func() {
		fmt.Println("\n==> Cleaning up")
		if closeErr := c.Close(context.WithoutCancel(ctx)); closeErr != nil && err == nil {
			err = closeErr
		}
		if err == nil {
			fmt.Printf("    nothing is left of it; %s in all\n", time.Since(began).Round(time.Second))
		}
	}()
	fmt.Printf("    up after %s, in %s\n", time.Since(began).Round(100*time.Millisecond), c.Dir)

	if err := show(ctx, c); err != nil {
		return err
	}
	fmt.Println("\n==> Look around")
	fmt.Printf("    Nomad   http://%s/ui/     export NOMAD_ADDR=http://%s\n", c.Nomad.HTTP, c.Nomad.HTTP)
	fmt.Printf("    Consul  http://%s/ui/     export CONSUL_HTTP_ADDR=%s\n", c.Consul.HTTP, c.Consul.HTTP)
	if term.IsTerminal(int(os.Stdout.Fd())) {
		fmt.Println("\n    Ctrl-C ends the demo.")
		<-ctx.Done()
	}
	return nil
}
