package main

import (
	"context"
	"fmt"
	"os"

	"nomad-driver-connect/e2e/agents"
)

// calculator does with the scripts of the demo VM what a person would do there.
func calculator(ctx context.Context, c *agents.Cluster) error {
	port, err := agents.FreePorts(1)
	if err != nil {
		return err
	}
	for _, line := range []string{
		"vagrant/bin/bootstrap.sh",
		fmt.Sprintf("vagrant/bin/start_all_jobs.sh -p %d", port[0]),
		"vagrant/bin/click.sh -n 8 -v",
		"nomad job scale add-svc 4 | tail -n 3",
		"vagrant/bin/click.sh",
		"vagrant/bin/benchmark.sh -z 2s -r 2 -o bin/latency.svg",
	} {
		if err := enter(ctx, c, line); err != nil {
			return err
		}
	}
	return nil
}

// enter shows a command line, and what it prints.
func enter(ctx context.Context, c *agents.Cluster, line string) error {
	fmt.Printf("\n==> %s\n", line)
	cmd := c.Shell(ctx, line)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	return nil
}
