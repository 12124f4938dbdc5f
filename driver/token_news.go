package driver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/pace"
)

// describe learns what Consul knows of a token that is new here, and tells of it. A
// question that was not answered is asked again after a while.
func (k *tokenKeeper) describe(ctx context.Context) {
	h := k.now.Load()
	if h.known || h.token.Secret == "" {
		k.warn(h)
		return
	}
	if time.Now().Before(time.Unix(0, k.later.Load())) {
		return
	}
	k.later.Store(time.Now().Add(pace.Jitter(k.plugin.watch.Share(describeAgain))).UnixNano())
	var denied *consul.DeniedError
	if errors.As(k.learn(ctx), &denied) {
		k.Refused(h.token.Secret)
	}
}

// describeAgain is how long a question about a token waits at least that was not answered.
const describeAgain = 30 * time.Second

// learn asks what Consul knows of the token of now. A *consul.DeniedError is about that
// token. (An agent without ACLs would log an error for each question.)
func (k *tokenKeeper) learn(ctx context.Context) error {
	before := k.now.Load()
	if before.token.Secret == "" {
		return nil
	}
	if acls, err := k.hasACLs(ctx); err != nil || !acls {
		return err
	}
	token, err := k.client.ReadToken(ctx, before.token.Secret)
	if err != nil {
		return err
	}
	h := held{source: before.source, rank: before.rank, token: token, known: true, early: early(token.Lifetime)}
	if k.now.CompareAndSwap(before, &h) { // else another came meanwhile
		k.later.Store(0)
		k.emit("Acts in Consul with the ACL token " + h.String() + h.lasts())
	}
	return nil
}

// hasACLs tells whether the agent wants tokens. It is asked with the operator's: where that
// is refused the agent has ACLs, and the task's token may be as good as ever.
func (k *tokenKeeper) hasACLs(ctx context.Context) (bool, error) {
	info, err := k.plugin.agents.Info(ctx, k.client)
	var denied *consul.DeniedError
	if errors.As(err, &denied) {
		return true, nil
	}
	return info.ACLs, err
}

// warn says once that a token ends soon which only somebody else can replace.
func (k *tokenKeeper) warn(now *held) {
	if now.warned || !now.isDue() || now.source.identity != "" {
		return
	}
	h := *now
	h.warned = true
	if k.now.CompareAndSwap(now, &h) {
		k.emit(fmt.Sprintf("The ACL token %s ends in %s, at %s, and Consul refuses the sidecar from then on: put another into its place",
			h, time.Until(h.token.Expires).Round(time.Second), h.token.Expires.Format(time.RFC3339)))
	}
}

// due tells that it is time for another token, as the one of now ends soon or is refused.
func (k *tokenKeeper) due() bool {
	h := k.now.Load()
	return h.source.identity != "" && (h.isDue() || k.isRefused(h.token.Secret))
}

// source says where the token of now comes from, and whether it is to be given back.
func (k *tokenKeeper) source() (name string, login bool) {
	h := k.now.Load()
	return cmp.Or(h.source.name, noToken), h.source.identity != ""
}

// Name implements consul.Keeper.
func (k *tokenKeeper) Name() string { return k.now.Load().String() }

// Refused implements consul.Keeper. The user hears of it at once, and once. While the
// sidecar is started a token may not be known yet.
func (k *tokenKeeper) Refused(secret string) {
	h := k.now.Load()
	if secret == "" || h.token.Secret != secret || !k.running.Load() {
		return // it is the operator's, or another was taken meanwhile
	}
	if before := k.refused.Swap(&secret); before != nil && *before == secret {
		return
	}
	next := "another is taken as soon as it lies there"
	if h.source.identity != "" {
		next = "it logs in again"
	}
	k.emit(fmt.Sprintf("Consul does not know the ACL token %s any more: it was deleted, or has ended; Envoy serves on with what it has, and %s", h, next))
}

func (k *tokenKeeper) isRefused(secret string) bool {
	refused := k.refused.Load()
	return refused != nil && *refused == secret
}
