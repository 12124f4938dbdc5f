package sidecar

import (
	"context"
	"fmt"
	"os"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"nomad-driver-connect/bootstrap"
)

// fetchInputs asks Consul for what the bootstrap of a registered proxy needs:
// two requests, at the same time.
func fetchInputs(ctx context.Context, consul *Consul, proxyID string, in bootstrap.Inputs) (bootstrap.Inputs, error) {
	group, ctx := errgroup.WithContext(ctx)
	var proxy *api.AgentService
	var logs *api.AccessLogsConfig
	group.Go(func() (err error) {
		proxy, err = consul.Service(ctx, proxyID)
		if err == nil && proxy == nil {
			err = fmt.Errorf("the registration %s is gone from Consul", proxyID)
		}
		return err
	})
	group.Go(func() (err error) {
		logs, err = consul.AccessLogs(ctx)
		return err
	})
	if err := group.Wait(); err != nil {
		return in, err
	}
	in.Proxy, in.AccessLogs = proxy, logs
	return in, nil
}

// readCA reads certificates; none is no error, the bootstrap's rules decide.
func readCA(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the CA certificate for Consul's gRPC endpoint: %w", err)
	}
	return string(pem), nil
}
