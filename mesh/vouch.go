package mesh

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/pace"
)

const (
	// vouchTime bounds the runs of all checks together: a goroutine waits for them. It
	// says nothing of a check that may take longer.
	vouchTime = 500 * time.Millisecond

	// firstRun is how much longer than its interval the first run of a check may
	// take; noInterval is for checks that Consul does not run itself.
	firstRun   = 10 * time.Second
	noInterval = 20 * time.Second

	// writeTime is how long Consul may take to write down a check that it shows.
	writeTime = 3 * time.Second
)

// runnable are the types of checks that the driver can run.
var runnable = []string{"tcp", "http", "grpc"}

// vouch runs the checks of a service for Consul, which runs a new one first after a
// random part of its interval and has it critical until then. From Consul's own first
// result on, that counts.
type vouch struct {
	well        bool                 // the service was fit for peers when it was last judged
	first       map[string]time.Time // when a check without a result was first seen
	definitions map[string]consul.Definition
	complained  string
	held        pace.Backoff
	vouched     pace.Backoff
}

// isPending tells whether Consul has not run a check yet. A job that has it begin
// otherwise (initial_status) is taken at its word. An agent that discards what checks
// print says nothing in their output for ever: it is waited for as long as a first run
// may take.
func (v *vouch) isPending(check *api.HealthCheck) bool {
	if check.Status != api.HealthCritical || check.Output != "" || isMaintenance(check) {
		return false
	}
	first, known := v.first[check.CheckID]
	definition, defined := v.definitions[check.CheckID]
	return !known || !defined || time.Since(first) < cmp.Or(definition.Interval, noInterval)+firstRun
}

func (v *vouch) pending(checks []*api.HealthCheck) bool {
	for _, check := range checks {
		if v.isPending(check) {
			return true
		}
	}
	return false
}

// settle gives checks as they are in Consul, those that it has not run yet as they
// would be. again is how soon to look anew, 0 when there is none of these.
func (v *vouch) settle(ctx context.Context, n Node, service, address string, checks []*api.HealthCheck) (settled []*api.HealthCheck, again time.Duration) {
	v.held.Min, v.held.Max = 50*time.Millisecond, time.Second
	v.vouched.Min, v.vouched.Max = time.Second, 5*time.Second
	v.forget(checks)
	waiting := v.pending(checks)
	if waiting {
		v.define(ctx, n, service, checks)
		settled = v.runAll(ctx, address, checks)
	} else {
		settled = checks
		v.held.Reset()
		v.vouched.Reset()
	}
	worst := worstOf(settled)
	v.well = worst == nil || worst.Status != api.HealthCritical
	switch {
	case !waiting:
		return settled, 0
	case v.well:
		return settled, v.vouched.Next()
	}
	return settled, v.held.Next()
}

// forget drops what is known of checks that are there no more, or that Consul has run.
func (v *vouch) forget(checks []*api.HealthCheck) {
	unrun := map[string]bool{}
	for _, check := range checks {
		unrun[check.CheckID] = check.Output == "" && check.Status == api.HealthCritical
	}
	maps.DeleteFunc(v.first, func(id string, _ time.Time) bool { return !unrun[id] })
	maps.DeleteFunc(v.definitions, func(id string, _ consul.Definition) bool { return !unrun[id] })
}

// define asks for what is not known yet of checks that Consul has not run.
func (v *vouch) define(ctx context.Context, n Node, service string, checks []*api.HealthCheck) {
	if v.first == nil {
		v.first = map[string]time.Time{}
	}
	undefined := false
	for _, check := range checks {
		if _, ok := v.first[check.CheckID]; !ok && v.isPending(check) {
			v.first[check.CheckID] = time.Now()
		}
		if _, ok := v.definitions[check.CheckID]; !ok && v.isPending(check) {
			undefined = true
		}
	}
	if !undefined {
		return
	}
	found, err := v.ask(ctx, n, service)
	if found != nil {
		v.definitions = found
	}
	if err != nil && err.Error() != v.complained {
		v.complained = err.Error()
		n.Emit(fmt.Sprintf("Waits until Consul has run the checks of the service, since the driver cannot: %v", err))
	}
}

// ask gives the definitions that are there by now: Consul shows a check before it has
// written down what it asks of whom.
func (v *vouch) ask(ctx context.Context, n Node, service string) (map[string]consul.Definition, error) {
	dir := ""
	if n.DataDir != nil {
		var err error
		if dir, err = n.DataDir(ctx); err != nil {
			return nil, err
		}
	}
	found, err := n.Consul.Definitions(ctx, service, dir)
	maps.DeleteFunc(found, func(id string, d consul.Definition) bool {
		return dir != "" && d.Target == nil && slices.Contains(runnable, d.Type) && time.Since(v.first[id]) < writeTime
	})
	return found, err
}

// runAll runs those that Consul has not run, at the same time.
func (v *vouch) runAll(ctx context.Context, address string, checks []*api.HealthCheck) []*api.HealthCheck {
	ctx, cancel := context.WithTimeout(ctx, vouchTime)
	defer cancel()
	settled := make([]*api.HealthCheck, len(checks))
	var all sync.WaitGroup
	for i, check := range checks {
		if settled[i] = check; !v.isPending(check) {
			continue
		}
		all.Go(func() {
			if outcome, ok := v.outcome(ctx, check.CheckID, address); ok {
				mine := *check
				mine.Status, mine.Output = outcome.status, outcome.note
				settled[i] = &mine
			}
		})
	}
	all.Wait()
	return settled
}

// outcome is that of a check by our own run; ok is false when it cannot be told. A
// target that Consul does not show is taken for a connection to the service when Consul
// does no more itself, or when the service was well a moment ago and only its check is
// new.
func (v *vouch) outcome(ctx context.Context, id, address string) (_ verdict, ok bool) {
	definition := v.definitions[id]
	target := definition.Target
	if target == nil || !canRun(target) {
		if definition.Type != "tcp" && (!v.well || target != nil) {
			return verdict{}, false
		}
		target = &consul.Target{TCP: address}
	}
	outcome := run(ctx, target)
	if outcome.status == api.HealthCritical && ctx.Err() != nil { // Consul would wait longer
		outcome = verdict{v.before(), "it has not answered yet"}
	}
	return outcome, true
}

// before is how the service was when it was last judged.
func (v *vouch) before() string {
	if v.well {
		return api.HealthPassing
	}
	return api.HealthCritical
}

// canRun tells whether one run of a check says what Consul will say.
func canRun(target *consul.Target) bool {
	return target.SuccessBeforePassing <= 1 && (target.TCP != "" || target.HTTP != "" || target.GRPC != "")
}
