package agents

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/nomad/api"
)

// Run submits a job as `nomad job run` does, from HCL.
func (n *Nomad) Run(ctx context.Context, hcl string) (*api.Job, error) {
	job, err := n.Client.Jobs().ParseHCLOpts(&api.JobsParseRequest{JobHCL: hcl, Canonicalize: true})
	if err != nil {
		return nil, fmt.Errorf("parse the job: %w", err)
	}
	_, _, err = n.Client.Jobs().Register(job, (&api.WriteOptions{}).WithContext(ctx))
	return job, err
}

// AwaitDeployment returns when the deployment of the job as it was last
// registered is successful.
func (n *Nomad) AwaitDeployment(ctx context.Context, job string) error {
	return Within(ctx, 2*time.Minute, func(ctx context.Context) error {
		opts := (&api.QueryOptions{}).WithContext(ctx)
		registered, _, err := n.Client.Jobs().Info(job, opts)
		if err != nil {
			return err
		}
		d, _, err := n.Client.Jobs().LatestDeployment(job, opts)
		if err != nil {
			return err
		}
		if d == nil || d.JobSpecModifyIndex != *registered.JobModifyIndex || d.Status != api.DeploymentStatusSuccessful {
			return fmt.Errorf("the deployment of %q is not successful: %+v", job, d)
		}
		return nil
	})
}

// Allocs are the allocations of a job, the newest first.
func (n *Nomad) Allocs(ctx context.Context, job string) ([]*api.Allocation, error) {
	opts := (&api.QueryOptions{}).WithContext(ctx)
	stubs, _, err := n.Client.Jobs().Allocations(job, true, opts)
	if err != nil {
		return nil, err
	}
	allocs := make([]*api.Allocation, 0, len(stubs))
	for _, stub := range stubs {
		alloc, _, err := n.Client.Allocations().Info(stub.ID, opts)
		if err != nil {
			return nil, err
		}
		allocs = append(allocs, alloc)
	}
	return allocs, nil
}

// Running are the allocations of a job's group whose tasks all run.
func (n *Nomad) Running(ctx context.Context, job, group string) ([]*api.Allocation, error) {
	allocs, err := n.Allocs(ctx, job)
	var running []*api.Allocation
	for _, alloc := range allocs {
		if alloc.TaskGroup == group && alloc.ClientStatus == api.AllocClientStatusRunning {
			running = append(running, alloc)
		}
	}
	return running, err
}

// Port gives "address:port" of a port label of an allocation.
func Port(alloc *api.Allocation, label string) (string, error) {
	if alloc.AllocatedResources != nil {
		for _, p := range alloc.AllocatedResources.Shared.Ports {
			if p.Label == label {
				return fmt.Sprintf("%s:%d", p.HostIP, p.Value), nil
			}
		}
	}
	return "", fmt.Errorf("allocation %s has no port %q", alloc.ID, label)
}

// AwaitSettled returns when no evaluation of the job is under way: a stop on top
// of one can crash the server.
func (n *Nomad) AwaitSettled(ctx context.Context, job string) error {
	return Within(ctx, time.Minute, func(ctx context.Context) error {
		evals, _, err := n.Client.Jobs().Evaluations(job, (&api.QueryOptions{}).WithContext(ctx))
		for _, e := range evals {
			if e.Status == "pending" && e.WaitUntil.IsZero() {
				return fmt.Errorf("evaluation %s is pending", e.ID)
			}
		}
		return err
	})
}

// stopJob asks for it; the tasks end later.
func (n *Nomad) stopJob(ctx context.Context, job string) error {
	if err := n.AwaitSettled(ctx, job); err != nil {
		return err
	}
	_, _, err := n.Client.Jobs().Deregister(job, false, (&api.WriteOptions{}).WithContext(ctx))
	return err
}

// Purge stops a job, waits until its tasks are dead, and has it forgotten. (A
// purge forgets the allocations at once: one could not see them end.)
func (n *Nomad) Purge(ctx context.Context, job string) error {
	if err := n.stopJob(ctx, job); err != nil {
		return err
	}
	allocs, err := n.Allocs(ctx, job)
	if err != nil {
		return err
	}
	for _, alloc := range allocs {
		if err := n.awaitDead(ctx, alloc.ID); err != nil {
			return err
		}
	}
	_, _, err = n.Client.Jobs().Deregister(job, true, (&api.WriteOptions{}).WithContext(ctx))
	return err
}

func (n *Nomad) awaitDead(ctx context.Context, allocID string) error {
	return Within(ctx, time.Minute, func(ctx context.Context) error {
		alloc, _, err := n.Client.Allocations().Info(allocID, (&api.QueryOptions{}).WithContext(ctx))
		var answer api.UnexpectedResponseError
		if errors.As(err, &answer) && answer.StatusCode() == 404 {
			return nil
		}
		if err != nil {
			return err
		}
		switch alloc.ClientStatus {
		case api.AllocClientStatusPending, api.AllocClientStatusRunning, api.AllocClientStatusUnknown:
			return fmt.Errorf("allocation %s is still %s", alloc.ID, alloc.ClientStatus)
		}
		if _, err := os.Stat(filepath.Join("/var/run/netns", alloc.ID)); err == nil {
			return fmt.Errorf("the network namespace of allocation %s is still there", alloc.ID)
		}
		return nil
	})
}

// Events are the sentences that `nomad alloc status` shows of a task.
func Events(alloc *api.Allocation, task string) []string {
	return EventsSince(alloc, task, time.Time{})
}

// EventsSince are those that are newer.
func EventsSince(alloc *api.Allocation, task string, since time.Time) []string {
	state, ok := alloc.TaskStates[task]
	if !ok {
		return nil
	}
	var events []string
	for _, e := range state.Events {
		if time.Unix(0, e.Time).After(since) {
			events = append(events, e.Type+": "+e.DisplayMessage)
		}
	}
	return events
}
