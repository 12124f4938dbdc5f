package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// What Consul knows of yesterday's sidecars is gone soon after a reboot of the node,
// whether its jobs come back or not; and those that come back serve.
func TestReboot(t *testing.T) {
	for name, jobsReturn := range map[string]bool{"the jobs come back": true, "the jobs are gone": false} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, agents.Options{})
			t.Cleanup(func() {
				if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			})
			s := openShop(t, c)
			yesterday := bootOf(t, s)
			must.NoError(t, c.PowerOff(t.Context()))
			back, err := agents.NextBoot(c.Dir)
			must.NoError(t, err)
			t.Cleanup(func() { // before the cluster is closed
				if err := back(); err != nil {
					t.Error(err)
				}
			})
			if !jobsReturn {
				s.stopJobs(t)
			}
			must.NoError(t, c.Consul.Start())
			must.NoError(t, c.Consul.Await(t.Context()))
			s.bootsWithout(t, yesterday)
			if jobsReturn {
				s.servesAfterReboot(t)
			}
			must.NoError(t, c.PurgeJobs(t.Context()))
			nothingLeft(t, c)
		})
	}
}

// bootOf is the boot that the sidecars of the shop say, which is this one.
func bootOf(t *testing.T, s *shop) string {
	t.Helper()
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	must.NoError(t, err)
	proxies, err := s.Consul.Proxies(t.Context())
	must.NoError(t, err)
	must.MapLen(t, 3, proxies)
	for _, proxy := range proxies {
		must.Eq(t, strings.TrimSpace(string(boot)), proxy.Meta["proxy-boot-id"])
	}
	return strings.TrimSpace(string(boot))
}

// stopJobs has Nomad's server stop the jobs while the node is away.
func (s *shop) stopJobs(t *testing.T) {
	t.Helper()
	for _, job := range []string{"shop", "shopper"} {
		_, _, err := s.Nomad.Client.Jobs().Deregister(job, false, nil)
		must.NoError(t, err)
	}
}

// bootsWithout starts Nomad's client, and wants nothing in Consul of another boot within
// 30 s from then on.
func (s *shop) bootsWithout(t *testing.T, boot string) {
	t.Helper()
	before, err := s.Consul.Proxies(t.Context())
	must.NoError(t, err)
	must.MapLen(t, 3, before, must.Sprint("Consul keeps what it knew"))
	must.NoError(t, s.Nomad.Start())
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		proxies, err := s.Consul.Proxies(ctx)
		if err != nil {
			return err
		}
		for id, proxy := range proxies {
			if proxy.Meta["proxy-boot-id"] == boot {
				return fmt.Errorf("%s is of yesterday", id)
			}
		}
		return nil
	})
}

// servesAfterReboot waits until Nomad has started everything again. From then on no
// request fails.
func (s *shop) servesAfterReboot(t *testing.T) {
	t.Helper()
	eventually(t, 2*time.Minute, func(ctx context.Context) error {
		healthy, err := s.Consul.Healthy(ctx)
		if err == nil && len(healthy) != 3 {
			err = fmt.Errorf("healthy sidecars: %v", healthy)
		}
		servers, listed := s.Nomad.Running(ctx, "shop", "shop")
		if listed == nil && len(servers) != 2 {
			listed = fmt.Errorf("%d servers run", len(servers))
		}
		return errors.Join(err, listed)
	})
	client := awaitRunning(t, s.Cluster, "shopper", "shopper")
	var err error
	s.upstream, err = agents.Port(client, "up_shop") // the allocation may be another
	must.NoError(t, err)
	s.answers(t)
	underLoad(t, agents.AskEcho(s.upstream), "after a reboot of the node", 0, func() {
		s.takes(t, client, 10*loadRate)
	})
}
