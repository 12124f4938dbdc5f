package hook

import (
	"fmt"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// What a job with Connect may have. Ports and names are compared with each other, so
// the work grows faster than the job, and behind -serve anybody may send one.
const (
	maxPartsOfGroup = 2000
	maxPartsOfJob   = 10000
)

// checkSize refuses jobs that would take minutes to rewrite, and that nobody means.
func checkSize(job *api.Job) error {
	if !usesSidecars(job) {
		return nil
	}
	all, told := len(job.Meta), 0
	for _, g := range job.TaskGroups {
		parts := partsOf(g)
		if parts > maxPartsOfGroup {
			return &refusal{group: deref(g.Name), err: fmt.Errorf("it has %d services, checks, upstreams, tasks, ports and the like, and a group with Connect can have %d; divide it", parts, maxPartsOfGroup)}
		}
		all += parts
		told += len(g.Tasks) * upstreamsOf(g)
	}
	if told > maxPartsOfJob {
		return fmt.Errorf("the job's tasks would be told %d times of an upstream, as each task of a group is told of all of them, and %d can be; divide its groups", told, maxPartsOfJob)
	}
	if all > maxPartsOfJob {
		return fmt.Errorf("the job has %d groups, services, checks, upstreams, tasks, ports and the like, and one with Connect can have %d; divide it", all, maxPartsOfJob)
	}
	return nil
}

func usesSidecars(job *api.Job) bool {
	for _, g := range job.TaskGroups {
		for _, s := range g.Services {
			if s.Connect != nil {
				return true
			}
		}
		for _, t := range g.Tasks {
			if t.Driver == driverName {
				return true
			}
		}
	}
	return false
}

// partsOf counts what a group is made of.
func partsOf(g *api.TaskGroup) int {
	n := 1 + len(g.Meta) + len(portsOfGroup(g))
	services := g.Services
	for _, t := range g.Tasks {
		services = append(services[:len(services):len(services)], t.Services...)
		n++
		for _, sidecar := range blocks(t.Config["sidecar_service"]) {
			for _, proxy := range blocks(sidecar["proxy"]) {
				n += len(blocks(proxy["upstreams"]))
			}
		}
	}
	for _, s := range services {
		n += 1 + len(s.Checks) + partsOfProxy(s)
	}
	return n
}

// upstreamsOf counts those of a group's connect blocks.
func upstreamsOf(g *api.TaskGroup) (n int) {
	for _, s := range g.Services {
		if proxy := proxyOf(s); proxy != nil {
			n += len(proxy.Upstreams)
		}
	}
	return n
}

func partsOfProxy(s *api.Service) int {
	proxy := proxyOf(s)
	if proxy == nil {
		return 0
	}
	n := len(proxy.Upstreams) + len(exposedPaths(proxy))
	for key := range listenerNumbers {
		n += strings.Count(asText(proxy.Config[key]), "port_value") // each may get a port
	}
	return n
}
