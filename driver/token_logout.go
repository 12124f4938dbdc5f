package driver

import (
	"context"
	"time"

	"nomad-driver-connect/pace"
)

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

// replaced has a login given back that another token came in place of, when nothing acts
// with it any more: the Envoy of before is leaving for a while, and the registration is its
// until it is renewed.
func (k *tokenKeeper) replaced(before *held) {
	if before.source.identity == "" || before.token.Secret == "" || k.isRefused(before.token.Secret) {
		return
	}
	life := k.spec.Life
	go func() {
		if pace.Wait(k.plugin.ctx, 2*(life.ReadyTimeout+life.DrainTimeout)) == nil {
			k.giveBack(k.plugin.ctx, before)
		}
	}()
}

// givingBack is how long it is tried to give a token back. Whatever Consul lacks by then
// is not about to pass.
const givingBack = 30 * time.Minute

// giveBack logs out until Consul has taken a token back, or it has ended.
func (k *tokenKeeper) giveBack(ctx context.Context, h *held) {
	ctx, cancel := context.WithTimeout(ctx, givingBack)
	defer cancel()
	retry := pace.Backoff{Min: time.Second, Max: k.plugin.watch.Share(loginRetry)}
	for !h.hasEnded() {
		err := k.client.Logout(ctx, h.token.Secret)
		if err == nil {
			return
		}
		if pace.Wait(ctx, retry.Next()) != nil {
			k.plugin.log.Warn("an ACL token stays in Consul that nothing acts with; delete it there (`consul acl token delete`)", "token", h.String(), "error", err)
			return
		}
	}
}
