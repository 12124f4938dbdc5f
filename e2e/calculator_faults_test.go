package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// instances are the allocations of a service.
func (c *calculator) instances(t *testing.T, service string) []*api.Allocation {
	t.Helper()
	running, err := c.Nomad.Running(t.Context(), service, service)
	must.NoError(t, err)
	return running
}

// healthy waits until so many instances of each service are, with their sidecars.
func (c *calculator) healthy(t *testing.T, service string, count int) {
	t.Helper()
	for _, name := range []string{service, service + "-sidecar-proxy"} {
		eventually(t, 30*time.Second, func(context.Context) error {
			entries, _, err := c.Consul.Client.Health().Service(name, "", true, nil)
			if err == nil && len(entries) != count {
				err = fmt.Errorf("%d instances of %s pass of %d", len(entries), name, count)
			}
			return err
		})
	}
}

// clickRate is that of clicks a second while something is done to the calculator.
const clickRate = 50

// losing does something while people click, adds a row to the table of the faults, and
// allows that many to fail.
func (c *calculator) losing(t *testing.T, most int, what string, do func()) {
	t.Helper()
	report := measured(t, c.click, clickRate, "calculator, "+what, do)
	must.LessEq(t, most, report.Failed, must.Sprintf("%s; first: %v", report, report.FirstFailure))
}

// survives ends an instance of each service, once as an operator does and once as
// a crash does. What a dying instance drops is asked of another one, except at the
// edge, where those who click are connected to the instance itself.
func (c *calculator) survives(t *testing.T) {
	t.Helper()
	for _, service := range calculatorServices {
		c.losing(t, 0, "nomad alloc stop of "+service, func() {
			c.replace(t, service)
			c.healthy(t, service, 2)
		})
		open := 0
		if service == "api-gateway" {
			open = clickRate / 5 // what is under way in 0.2 s, or waits to be accepted
		}
		c.losing(t, open, "SIGKILL of "+service, func() {
			victim, since := c.instances(t, service)[0], time.Now()
			must.NoError(t, c.Nomad.Client.Allocations().Signal(victim, nil, service, "SIGKILL"))
			if service == "api-gateway" { // an Envoy of this driver's, which is started again in the same task
				awaitEvent(t, c.Cluster, victim, service, since, "serves again")
			} else {
				awaitEvent(t, c.Cluster, victim, service, since, "Started")
			}
			c.healthy(t, service, 2)
		})
	}
}

// replace has Nomad stop an instance, and waits until it has ended.
func (c *calculator) replace(t *testing.T, service string) {
	t.Helper()
	victim := c.instances(t, service)[0]
	_, err := c.Nomad.Client.Allocations().Stop(victim, nil)
	must.NoError(t, err)
	eventually(t, time.Minute, func(ctx context.Context) error {
		now, _, err := c.Nomad.Client.Allocations().Info(victim.ID, (&api.QueryOptions{}).WithContext(ctx))
		if err == nil && now.ClientStatus != api.AllocClientStatusComplete {
			err = fmt.Errorf("%s is %s", victim.Name, now.ClientStatus)
		}
		return err
	})
}

// scales sees four instances of add-svc soon after they are healthy. Nobody has waited
// for one that was not.
func (c *calculator) scales(t *testing.T, toFour func() string) {
	t.Helper()
	const four = 4
	c.losing(t, 0, "add-svc scaled to 4", func() {
		toFour()
		c.healthy(t, "add-svc", four)
		must.NoError(t, agents.Within(t.Context(), 5*time.Second, func(ctx context.Context) error {
			seen, err := c.answered(ctx, 16)
			if err == nil && len(seen["add-svc"]) != four {
				err = fmt.Errorf("%d instances answer", len(seen["add-svc"]))
			}
			return err
		}))
	})
}
