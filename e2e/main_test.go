// Package e2e tests the built driver with real Nomad, Consul and Envoy.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"nomad-driver-connect/e2e/agents"
)

var (
	tools  = flag.String("tools", "../.tools/bin", "directory with consul, nomad and envoy")
	plugin = flag.String("plugin", "../bin/nomad-driver-connect", "the built driver")
)

// TestMain runs the tests in namespaces of their own: every port is free there,
// bridges and packet filters go with the one, mounts with the other.
func TestMain(m *testing.M) {
	flag.Parse()
	if address := os.Getenv(asApp); address != "" {
		fmt.Fprintln(os.Stderr, "e2e: the app ends:", runApp(address))
		os.Exit(1)
	}
	if os.Getenv(asSearcher) != "" {
		if err := runSearch(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: the search ends:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(inNamespace) == "" {
		os.Exit(runInNamespaces())
	}
	if err := chooseTests(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	if err := loopbackUp(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: bring up the loopback interface:", err)
		os.Exit(1)
	}
	if err := mountSharedMemory(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: mount a file system for shared memory:", err)
		os.Exit(1)
	}
	interrupted, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	go func() {
		<-interrupted.Done()
		fmt.Fprintln(os.Stderr, "e2e: interrupted, cleaning up:", started.close(context.WithoutCancel(interrupted)))
		os.Exit(1)
	}()
	code := m.Run()
	if err := closeShared(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: clean up:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// shared are the clusters that tests use, one after the other: most of them the one on
// loopback, and those with groups in bridge mode the other.
var shared struct{ loopback, bridged *agents.Cluster }

func cluster(t *testing.T) *agents.Cluster {
	t.Helper()
	if shared.loopback == nil {
		shared.loopback = newCluster(t, agents.Options{})
	}
	return purgedAfter(t, shared.loopback)
}

// bridged is the cluster whose node groups in bridge mode reach.
func bridged(t *testing.T) *agents.Cluster {
	t.Helper()
	if shared.bridged == nil {
		shared.bridged = newBridgedCluster(t)
	}
	return purgedAfter(t, shared.bridged)
}

// purgedAfter has no jobs left on a cluster for the next test.
func purgedAfter(t *testing.T, c *agents.Cluster) *agents.Cluster {
	t.Helper()
	t.Cleanup(func() {
		if err := c.PurgeJobs(context.Background()); err != nil {
			t.Error("purge the test's jobs:", err)
		}
	})
	return c
}

func closeShared() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var errs []error
	for _, c := range []*agents.Cluster{shared.loopback, shared.bridged} {
		if c != nil {
			errs = append(errs, c.Close(ctx))
		}
	}
	return errors.Join(errs...)
}

// newCluster starts one; the caller closes it.
func newCluster(t testing.TB, opts agents.Options) *agents.Cluster {
	t.Helper()
	opts.Tools, opts.Plugin = *tools, *plugin
	// From its start on an interrupt must find it.
	started.Lock()
	defer started.Unlock()
	c, err := agents.StartCluster(t.Context(), opts)
	if err != nil {
		t.Fatal("start the agents:", err)
	}
	started.clusters = append(started.clusters, c)
	return c
}

// running are the clusters that were started, for an interrupt to close.
type running struct {
	sync.Mutex
	clusters []*agents.Cluster
}

var started running

func (r *running) close(ctx context.Context) error {
	r.Lock()
	defer r.Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var errs []error
	for _, c := range r.clusters {
		errs = append(errs, c.Close(ctx))
	}
	return errors.Join(errs...)
}
