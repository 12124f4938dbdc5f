package driver

import (
	"context"
	"fmt"
	"time"
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
	before := k.now.Swap(&held{source: source, rank: rank, token: token, early: early(token.Lifetime)})
	k.replaced(before)
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
