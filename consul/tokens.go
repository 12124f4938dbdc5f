package consul

import (
	"cmp"
	"context"
)

// Tokens are the ACL tokens that a client acts with.
type Tokens struct {
	Task  string // of a task's sidecar; empty for the anonymous one
	Agent string // the operator's, for what is asked of the agent itself
}

// ReadTokens reads them where they lie now. It may take as long as a job's file
// lets it. With an error it gives those that it could read.
type ReadTokens func() (Tokens, error)

// Keeper keeps the tokens that a client acts with. Any goroutine may call it.
type Keeper interface {
	// Name is what sentences call the token of now, after "the ACL token".
	Name() string

	// Refused is told of a token that Consul does not know, or not any more, before it is
	// read anew. It must not wait.
	Refused(secret string)
}

// KeptBy says who keeps the client's tokens, before it is used.
func (c *Client) KeptBy(k Keeper) { c.keeper = k }

// TokenName is what sentences call the token of now; empty where nobody keeps it.
func (c *Client) TokenName() string {
	if c.keeper == nil {
		return ""
	}
	return c.keeper.Name()
}

// Tokens are those of the requests to come.
func (c *Client) Tokens() Tokens { return *c.tokens.Load() }

// SetTokens changes them.
func (c *Client) SetTokens(tokens Tokens) { c.tokens.Store(&tokens) }

// Renew reads the tokens anew, and tells whether they have changed. When no token is
// found any more the old one is kept, so that the sidecar serves on.
func (c *Client) Renew() (changed bool, err error) {
	if c.read == nil {
		return false, nil
	}
	before := c.Tokens()
	now, err := c.read()
	now.Task = cmp.Or(now.Task, before.Task)
	if err != nil {
		now.Agent = cmp.Or(now.Agent, before.Agent)
	}
	c.SetTokens(now)
	return now != before, err
}

// renewWithin is Renew for somebody who cannot wait for a file that does not
// answer.
func (c *Client) renewWithin(ctx context.Context) (changed bool) {
	select {
	case c.reading <- struct{}{}:
	default:
		return false // somebody reads, or has hung there
	}
	result := make(chan bool, 1)
	go func() {
		defer func() { <-c.reading }()
		changed, _ := c.Renew() // what is amiss is said where files are looked at
		result <- changed
	}()
	select {
	case changed = <-result:
		return changed
	case <-ctx.Done():
		return false
	}
}
