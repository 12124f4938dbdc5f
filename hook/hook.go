package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/nomad/api"
)

// Options say how a job is rewritten.
type Options struct {
	// DynamicPorts leaves it to the scheduler where apps find their upstreams,
	// instead of the numbers that the job has.
	DynamicPorts bool

	// UpstreamNetwork is the host network that ports of upstreams are taken from,
	// that of the addresses where sidecars listen for apps; empty for the node's
	// default network. There Nomad gives ports for each of a node's addresses, and so
	// may give a job on the loopback network the number of an upstream.
	UpstreamNetwork string
}

// Result is a rewritten job, and what its author should know of it.
type Result struct {
	Job      *api.Job
	Warnings []Finding
}

// Rewrite gives the job as it runs on host networking without Nomad's own
// Connect. The job itself stays as it is. An error has a line for every service
// that cannot be on the host network, with the way out.
func Rewrite(job *api.Job, options Options) (Result, error) {
	result, err := transform(job, options)
	if err != nil {
		return Result{}, err
	}
	result.Warnings = append(result.Warnings, check(job, result.Job, nil)...)
	return result, nil
}

// transform rewrites what it can; a job that is refused in part is not one to run.
func transform(job *api.Job, options Options) (Result, error) {
	if err := checkShape(job); err != nil {
		return Result{}, err
	}
	if err := checkSize(job); err != nil {
		return Result{}, err
	}
	rewritten, err := clone(job)
	if err != nil {
		return Result{}, fmt.Errorf("copy the job: %w", err)
	}
	var errs []error
	result := Result{Job: rewritten}
	jobWords := sync.OnceValue(func() map[string]bool { return words(rewritten.Meta) })
	for _, g := range rewritten.TaskGroups {
		group := group{TaskGroup: g, job: rewritten, options: options, jobWords: jobWords, names: map[*api.Service]string{}}
		errs = append(errs, group.rewrite())
		result.Warnings = append(result.Warnings, group.warnings...)
	}
	return result, errors.Join(errs...)
}

// Encode gives the job as `nomad job run -json` takes it.
func Encode(job *api.Job) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(map[string]any{"Job": job}); err != nil {
		return nil, fmt.Errorf("write the job as JSON: %w", err)
	}
	return out.Bytes(), nil
}

// clone copies a job by way of JSON, as which Nomad gets it in the end.
func clone(job *api.Job) (*api.Job, error) {
	text, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	var out api.Job
	return &out, decodeJSON(text, &out)
}

// decodeJSON keeps numbers as they are written.
func decodeJSON(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// checkShape refuses what only JSON can say, and nobody means: null in a list.
func checkShape(job *api.Job) error {
	if job == nil {
		return errors.New("there is no job")
	}
	for _, g := range job.TaskGroups {
		if g == nil {
			return errors.New("a group of the job is null; remove it")
		}
		if hasNil(g.Tasks) || hasNil(g.Services) || hasNil(g.Networks) {
			return fmt.Errorf("group %q: a task, service or network of it is null; remove it", deref(g.Name))
		}
		for _, t := range g.Tasks {
			if t.Resources != nil && hasNil(t.Resources.Networks) || hasNil(t.Services) {
				return fmt.Errorf("group %q, task %q: a service or network of it is null; remove it", deref(g.Name), t.Name)
			}
		}
		for _, s := range g.Services {
			if !proxyIsWhole(s) || !sidecarTaskIsWhole(s) {
				return fmt.Errorf("group %q, service %q: an upstream, an exposed path, or a network or device of its sidecar_task is null; remove it", deref(g.Name), s.Name)
			}
		}
	}
	return nil
}

func proxyIsWhole(s *api.Service) bool {
	proxy := proxyOf(s)
	return proxy == nil || !hasNil(proxy.Upstreams) && !hasNil(exposedPaths(proxy))
}

func sidecarTaskIsWhole(s *api.Service) bool {
	if s.Connect == nil || s.Connect.SidecarTask == nil || s.Connect.SidecarTask.Resources == nil {
		return true
	}
	resources := s.Connect.SidecarTask.Resources
	return !hasNil(resources.Networks) && !hasNil(resources.Devices)
}

func hasNil[T any](list []*T) bool {
	for _, entry := range list {
		if entry == nil {
			return true
		}
	}
	return false
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
