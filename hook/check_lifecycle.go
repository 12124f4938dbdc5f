package hook

import (
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/nomad/api"
)

// besideTheSidecar tells of tasks that run when no upstream answers: before the
// sidecar is ready, and after it has ended.
func (c *checked) besideTheSidecar() {
	upstreams := c.upstreams()
	if len(upstreams) == 0 {
		return
	}
	first := fmt.Sprintf("upstream %q (%s)", upstreams[0].destination, c.place(upstreams[0]))
	for _, t := range c.after.Tasks {
		if t.Lifecycle == nil || t.Lifecycle.Sidecar || t.Driver == driverName || asksNobody(t) {
			continue
		}
		where := Finding{Task: t.Name, at: "lifecycle/hook"}
		switch t.Lifecycle.Hook {
		case api.TaskLifecycleHookPrestart:
			c.find("prestart-upstream", where,
				"a prestart task starts together with the sidecar, before that is ready: "+first+" may not answer yet",
				"let it try again until the upstream answers, or begin the main task with it")
		case api.TaskLifecycleHookPoststop:
			c.find("poststop-upstream", where,
				"a poststop task runs when the sidecar has ended: "+first+" does not answer any more",
				"let the main task do it when it is stopped, within its kill_timeout")
		}
	}
}

// noShutdownDelay tells of groups whose instances end while peers still come.
func (c *checked) noShutdownDelay() {
	isReached := func(p proxy) bool { return !p.standalone }
	if c.after.ShutdownDelay != nil || !c.hasType(api.JobTypeService, api.JobTypeSystem) || !slices.ContainsFunc(c.proxies, isReached) || c.tasksWait() {
		return
	}
	c.find("no-shutdown-delay", Finding{},
		"the group has no shutdown_delay: at a stop its tasks end while peers still come, and those get errors",
		`set shutdown_delay = "5s" in the group`)
}

// tasksWait tells whether every app waits before it ends, which does the same: Nomad
// withdraws the group's services before, and ends sidecars after.
func (c *checked) tasksWait() bool {
	return !slices.ContainsFunc(c.after.Tasks, func(t *api.Task) bool { return t.Lifecycle == nil && t.ShutdownDelay == 0 })
}

// mostOfAStart is how long the driver lets a sidecar start when nothing says
// ready { timeout }.
const mostOfAStart = 30 * time.Second

// checkRestart tells of checks by which Nomad restarts a group whose app has not
// started yet: it waits for the sidecar.
func (c *checked) checkRestart() {
	start := c.mostOfAStart()
	if start == 0 {
		return
	}
	for _, s := range c.after.Services {
		for _, check := range s.Checks {
			restart := s.CheckRestart.Merge(check.CheckRestart)
			if restart == nil || restart.Limit < 1 {
				continue
			}
			grace := time.Second // Nomad's own
			if restart.Grace != nil {
				grace = *restart.Grace
			}
			patience := grace + time.Duration(restart.Limit-1)*check.Interval
			if patience >= start {
				continue
			}
			c.find("check-restart-grace", Finding{Service: serviceName(c.job, deref(c.after.Name), s), at: atRestart(s, check)},
				fmt.Sprintf("check_restart restarts the tasks when a check fails for %s from the beginning, and the app begins when its sidecar is ready, which may take %s", patience, start),
				fmt.Sprintf("set check_restart { grace = %q } or more", (start+10*time.Second).String()))
			break // one word about a service
		}
	}
}

func atRestart(s *api.Service, check api.ServiceCheck) string {
	if check.CheckRestart != nil && len(s.Checks) == 1 {
		return "check/check_restart"
	}
	return "check_restart"
}

// mostOfAStart is how long the apps of the group may have to wait for a sidecar.
// They wait for those with upstreams only.
func (c *checked) mostOfAStart() (most time.Duration) {
	for _, p := range c.proxies {
		if len(p.upstreams) == 0 {
			continue
		}
		timeout, err := time.ParseDuration(p.ready)
		if err != nil {
			timeout = mostOfAStart
		}
		most = max(most, timeout)
	}
	return most
}

// upstreamReplaces tells of groups of which nothing runs for a while when an upstream
// changes, as it is a part of the sidecar's task now.
func (c *checked) upstreamReplaces() {
	parallel := deref(c.update().MaxParallel)
	all := parallel == 0 || parallel >= c.instances()
	if !all || c.hasType(api.JobTypeSystem, api.JobTypeSysbatch) || c.job.Periodic != nil || c.job.ParameterizedJob != nil {
		return
	}
	if c.hasType(api.JobTypeService) && deref(c.update().Canary) > 0 {
		return
	}
	for _, s := range c.before.Services {
		if proxy := proxyOf(s); proxy == nil || len(proxy.Upstreams) == 0 {
			continue
		}
		c.find("upstream-replaces", Finding{Service: serviceName(c.job, deref(c.before.Name), s), at: "connect/sidecar_service/proxy/upstreams"},
			"a change of upstreams replaces the allocation, where Nomad's own Connect changes it in place, and no instance runs meanwhile",
			"set a greater count, or update { canary = 1 }, before you change them")
		return
	}
}
