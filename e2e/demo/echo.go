package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hashicorp/nomad/api"

	"nomad-driver-connect/e2e/agents"
)

// echo runs the echo job and shows what became of it.
func echo(ctx context.Context, c *agents.Cluster) error {
	const file = "example-jobs/echo/echo.nomad.hcl"
	hcl, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fmt.Printf("\n==> nomad job run %s\n", file)
	began := time.Now()
	job, err := c.Nomad.Run(ctx, string(hcl))
	if err != nil {
		return err
	}
	if err := c.Nomad.AwaitDeployment(ctx, *job.ID); err != nil {
		return errors.Join(err, showAllEvents(ctx, c, *job.ID))
	}
	fmt.Printf("    the deployment is healthy after %s\n", time.Since(began).Round(100*time.Millisecond))
	clients, err := c.Nomad.Running(ctx, *job.ID, "client")
	if err != nil || len(clients) == 0 {
		return errors.Join(errors.New("no client is running"), err)
	}
	if err := talk(ctx, clients[0]); err != nil {
		return err
	}
	if err := showRegistrations(ctx, c); err != nil {
		return err
	}
	fmt.Println("\n==> What `nomad alloc status` tells of the client's sidecar")
	for _, event := range agents.Events(clients[0], "connect-proxy-client") {
		fmt.Println("    " + event)
	}
	return nil
}

// talk sends lines until both instances have answered, which they do as soon
// as Consul has told the client's sidecar of both.
func talk(ctx context.Context, client *api.Allocation) error {
	addr, err := agents.Port(client, "up_echo")
	if err != nil {
		return err
	}
	fmt.Printf("\n==> Lines through both sidecars, mTLS between them (the app's view: echo is at %s)\n", addr)
	seen := map[string]int{}
	lines := 0
	return agents.Within(ctx, 30*time.Second, func(ctx context.Context) error {
		line := fmt.Sprintf("hello %d", lines+1)
		answer, err := agents.SendLine(ctx, "tcp", addr, line)
		if err != nil {
			return fmt.Errorf("send a line through the mesh: %w", err)
		}
		instance, rest, _ := strings.Cut(answer, "--")
		if rest != line {
			return fmt.Errorf("sent %q, got %q back", line, answer)
		}
		lines++
		seen[instance]++
		fmt.Printf("    sent %-9q  got %-9q back from %s\n", line, rest, instance)
		if len(seen) < 2 || lines < 4 {
			return fmt.Errorf("%d lines were answered, by %d of two instances", lines, len(seen))
		}
		return nil
	})
}

func showRegistrations(ctx context.Context, c *agents.Cluster) error {
	proxies, err := c.Consul.Proxies(ctx)
	if err != nil {
		return err
	}
	fmt.Println("\n==> The sidecars in Consul")
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "    SERVICE\tPUBLIC LISTENER\tLOCAL SERVICE\tALLOCATION\tENVOY PID")
	var rows []string
	for _, p := range proxies {
		local := "-"
		if p.Proxy.LocalServicePort != 0 {
			local = fmt.Sprintf("%s:%d", p.Proxy.LocalServiceAddress, p.Proxy.LocalServicePort)
		}
		rows = append(rows, fmt.Sprintf("    %s\t%s:%d\t%s\t%.8s\t%s",
			p.Service, p.Address, p.Port, local, p.Meta["nomad-alloc-id"], p.Meta["proxy-pid"]))
	}
	slices.Sort(rows)
	_, _ = fmt.Fprintln(w, strings.Join(rows, "\n"))
	return w.Flush()
}

// showAllEvents says why a job did not become healthy.
func showAllEvents(ctx context.Context, c *agents.Cluster, job string) error {
	allocs, err := c.Nomad.Allocs(ctx, job)
	for _, alloc := range allocs {
		for task := range alloc.TaskStates {
			for _, event := range agents.Events(alloc, task) {
				fmt.Printf("    %.8s %s: %s\n", alloc.ID, task, event)
			}
		}
	}
	return err
}
