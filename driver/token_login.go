package driver

import (
	"context"
	"fmt"
	"time"

	"nomad-driver-connect/pace"
)

// loginRetry is the longest time between two logins that fail, on a node with few sidecars:
// with many Consul would be asked by all of them.
const loginRetry = 30 * time.Second

// exchange logs in by an identity.
func (k *tokenKeeper) exchange(ctx context.Context, rank int, source tokenSource, identity string) error {
	if k.running.Load() && time.Now().Before(k.notBefore) {
		return k.lastFailed
	}
	token, err := k.client.Login(ctx, k.spec.Consul.AuthMethod, identity, map[string]string{"nomad-alloc": k.task.AllocID, "nomad-task": k.task.Name})
	if err != nil {
		k.failed.Max = k.plugin.watch.Share(loginRetry)
		k.notBefore = time.Now().Add(k.failed.Next())
		k.lastFailed = &loginError{source.name, err}
		return k.lastFailed
	}
	k.failed.Reset()
	k.now.Store(&held{source: source, rank: rank, token: token, early: early(token.Lifetime)})
	return nil
}

// loginError says that an identity was not exchanged.
type loginError struct {
	identity string
	err      error
}

func (e *loginError) Error() string {
	return fmt.Sprintf("exchange %s for an ACL token: %v; `nomad setup consul` makes the method, and a binding rule has to give service:write on the service and its sidecar", e.identity, e.err)
}

func (e *loginError) Unwrap() error { return e.err }

// release gives back a token that an identity was exchanged for. Consul takes a
// registration out of its catalog with the token that it was made with, so that must be
// over. It may be repeated.
func (k *tokenKeeper) release(ctx context.Context, proxyID string) error {
	h := k.now.Load()
	if h.source.identity == "" || h.token.Secret == "" || k.isRefused(h.token.Secret) || h.hasEnded() {
		return nil
	}
	if err := k.awaitWithdrawal(ctx, proxyID); err != nil {
		return err
	}
	if err := k.client.Logout(ctx, h.token.Secret); err != nil {
		return err
	}
	k.now.Store(&held{source: h.source})
	return nil
}

// withdrawal is how long Consul may take to tell its catalog of a registration that has
// gone.
const withdrawal = 2 * time.Second

// awaitWithdrawal waits until the catalog has a proxy no more; of one that never came up,
// or that may not be seen, it is not known when that is.
func (k *tokenKeeper) awaitWithdrawal(ctx context.Context, proxyID string) error {
	watch := &k.plugin.watch
	if proxyID == "" || !watch.Sees() {
		return pace.Wait(ctx, withdrawal/2)
	}
	retry := pace.Backoff{Min: 50 * time.Millisecond, Max: 500 * time.Millisecond}
	for end := time.Now().Add(withdrawal); watch.Has(proxyID) && time.Now().Before(end); {
		if err := pace.Wait(ctx, retry.Next()); err != nil {
			return err
		}
	}
	return nil
}
