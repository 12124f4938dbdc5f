// Command demo shows the driver at work on this machine: real Consul, Nomad and
// Envoy on free ports, a job, and lines that go through the mesh. On a
// terminal it stays until Ctrl-C. It leaves nothing behind.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"nomad-driver-connect/e2e/agents"
)

func main() {
	tools := flag.String("tools", ".tools/bin", "directory with consul, nomad and envoy")
	plugin := flag.String("plugin", "bin/nomad-driver-connect", "the built driver")
	job := flag.String("job", "example-jobs/echo/echo.nomad.hcl", "the job to run")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, *job, agents.Options{Tools: *tools, Plugin: *plugin})
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, job string, opts agents.Options) (err error) {
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

	if err := echo(ctx, c, job); err != nil {
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
