package driver

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/pace"
	"nomad-driver-connect/sidecar"
)

// tokenKeeper keeps the ACL token that a task's sidecar acts with: it finds it, exchanges
// the task's identity for it, takes another before it ends, and gives it back.
type tokenKeeper struct {
	plugin *Plugin
	spec   proxySpec
	task   *drivers.TaskConfig
	client *consul.Client
	emit   sidecar.Emit

	reading    sync.Mutex   // a file of the job may never answer; it guards the next three
	failed     pace.Backoff // of logins
	notBefore  time.Time    // is there another after one that has failed
	lastFailed error        // why it has

	now     atomic.Pointer[held]
	running atomic.Bool // the sidecar is there, and a refusal is news
	refused atomic.Pointer[string]
	later   atomic.Int64 // when to ask again what Consul knows of the token
}

const (
	// replication is how long a token that was just made may take to be known to the
	// agent's servers, and so an identity.
	replication = 5 * time.Second

	replicationMin, replicationMax = 250 * time.Millisecond, 2 * time.Second
)

func (p *Plugin) newTokenKeeper(spec proxySpec, task *drivers.TaskConfig) *tokenKeeper {
	k := &tokenKeeper{plugin: p, spec: spec, task: task, emit: p.emitter(task), failed: pace.Backoff{Min: time.Second, Max: loginRetry}}
	k.now.Store(&held{})
	return k
}

// begin finds the token, and waits for a moment until Consul knows it.
func (k *tokenKeeper) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, replication)
	defer cancel()
	return pace.Retry(ctx, pace.Backoff{Min: replicationMin, Max: replicationMax}, mayReplicate, func() error { return k.beginOnce(ctx) })
}

// mayReplicate tells an error that may be over when Consul's servers have what is new.
func mayReplicate(err error) bool {
	var failed *loginError
	var denied *consul.DeniedError
	return errors.As(err, &failed) || errors.As(err, &denied)
}

func (k *tokenKeeper) beginOnce(ctx context.Context) error {
	tokens, err := k.readWithin(ctx)
	if err != nil {
		return err
	}
	k.client.SetTokens(tokens)
	if tokens.Task == "" {
		return k.lost(ctx)
	}
	err = k.learn(ctx)
	var denied *consul.DeniedError
	if errors.As(err, &denied) {
		return err
	}
	return nil // what else is amiss the start itself will say
}

// read implements consul.ReadTokens.
func (k *tokenKeeper) read() (consul.Tokens, error) { return k.readWithin(k.plugin.ctx) }

func (k *tokenKeeper) readWithin(ctx context.Context) (consul.Tokens, error) {
	k.reading.Lock()
	defer k.reading.Unlock()
	agent, err := k.plugin.agentToken(k.spec)
	err = errors.Join(k.find(ctx), err)
	return consul.Tokens{Task: k.now.Load().token.Secret, Agent: agent}, err
}

// find takes the token that lies there now. When it is gone, the one of before is kept
// for as long as Consul knows it.
func (k *tokenKeeper) find(ctx context.Context) error {
	before := k.now.Load()
	sources := tokenSources(k.spec, k.task)
	rank, content, err := findToken(sources, k.task, k.spec.Life.Run.User)
	serves := before.token.Secret != "" && !k.isRefused(before.token.Secret) && !before.isDue()
	switch {
	case err != nil:
		return err
	case content == "":
		return k.findNone(before, sources)
	case serves && (rank > before.rank || sources[rank].identity != ""):
		return nil // an identity is exchanged for want of a token only
	case sources[rank].identity != "":
		return k.exchange(ctx, rank, sources[rank], content)
	case content != before.token.Secret:
		k.now.Store(&held{source: sources[rank], rank: rank, token: consul.Token{Secret: content}})
		k.replaced(before)
	}
	return nil
}

// findNone is find where there is no token. Without one the sidecar acts as anybody may.
func (k *tokenKeeper) findNone(before *held, sources []tokenSource) error {
	switch identity := before.source.identity; {
	case before.token.Secret == "":
	case identity != "" && (before.isDue() || k.isRefused(before.token.Secret)):
		return fmt.Errorf("replace the ACL token %s: its identity is not there any more, as one that Nomad gives in the environment is not after a restart of its agent; give the task %s, or restart it", before, identityBlock(identity))
	default:
		return nil
	}
	if err := missingIdentity(sources); err != nil {
		return err
	}
	if secret := k.spec.Consul.Token; secret != "" {
		k.now.Store(&held{source: tokenSource{name: "the bootstrap"}, token: consul.Token{Secret: secret}})
	}
	return nil
}

// attach takes up what lies there, and exchanges nothing: an earlier life of the plugin
// has.
func (k *tokenKeeper) attach() error {
	sources := tokenSources(k.spec, k.task)
	rank, content, err := findToken(sources, k.task, k.spec.Life.Run.User)
	if err != nil || content == "" {
		return err
	}
	h := &held{source: sources[rank], rank: rank}
	switch {
	case h.source.identity == "":
		h.token.Secret = content
	case !k.spec.Login:
		return nil // Envoy's token is from elsewhere, and recalled
	}
	k.now.Store(h)
	return nil
}

// recall takes up the token that an Envoy was found with, where it is not found elsewhere.
func (k *tokenKeeper) recall(secret string) {
	h := *k.now.Load()
	if h.source.name == "" {
		h.source.name, h.rank = k.spec.TokenSource, math.MaxInt
		if h.source.name == "" || h.source.name == noToken {
			h.source.name = "Envoy's bootstrap"
		}
		if k.spec.Login {
			h.source.identity = h.source.name
		}
	}
	h.token.Secret = secret
	k.now.Store(&h)
}
