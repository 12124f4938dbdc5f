package consul

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/consul/api"
)

// Token is what Consul says of an ACL token.
type Token struct {
	Secret   string
	Accessor string        // names it, and is no secret
	Expires  time.Time     // zero for never
	Lifetime time.Duration // from its creation until then
}

func tokenOf(t *api.ACLToken) Token {
	token := Token{Secret: t.SecretID, Accessor: t.AccessorID}
	if t.ExpirationTime != nil && !t.ExpirationTime.IsZero() {
		token.Expires, token.Lifetime = *t.ExpirationTime, t.ExpirationTime.Sub(t.CreateTime)
	}
	return token
}

// ReadToken asks what Consul knows of a token, with that token. A *DeniedError is one
// that Consul does not know. (The agent logs an error for an agent without ACLs.)
func (c *Client) ReadToken(ctx context.Context, secret string) (Token, error) {
	token, err := askAs(ctx, c, secret, func(q *api.QueryOptions) (*api.ACLToken, error) {
		token, _, err := c.client.ACL().TokenReadSelf(q)
		return token, err
	})
	if err != nil {
		return Token{}, c.unreachable("read the ACL token", err)
	}
	return tokenOf(token), nil
}

// Login exchanges a workload identity, a JWT, for a token.
func (c *Client) Login(ctx context.Context, method, identity string, meta map[string]string) (Token, error) {
	token, err := askAs(ctx, c, "", func(q *api.QueryOptions) (*api.ACLToken, error) { //nolint:contextcheck // the request has a context of its own
		token, _, err := c.client.ACL().Login(&api.ACLLoginParams{AuthMethod: method, BearerToken: identity, Meta: meta}, writeOptions(q))
		return token, err
	})
	if err != nil {
		return Token{}, fmt.Errorf("log in to Consul at %s by the auth method %q: %w", c.cfg.Address, method, rootCause(err))
	}
	return tokenOf(token), nil
}

// Logout ends a token of Login's. It is content with one that Consul does not know any
// more.
func (c *Client) Logout(ctx context.Context, secret string) error {
	_, err := askAs(ctx, c, secret, func(q *api.QueryOptions) (struct{}, error) { //nolint:contextcheck // the request has a context of its own
		_, err := c.client.ACL().Logout(writeOptions(q))
		return struct{}{}, err
	})
	if err == nil || tokenUnknown(err) {
		return nil
	}
	return c.unreachable("log out of Consul", err)
}

func writeOptions(q *api.QueryOptions) *api.WriteOptions {
	return (&api.WriteOptions{Token: q.Token, Namespace: q.Namespace, Partition: q.Partition}).WithContext(q.Context())
}

// Right is one that an ACL token may give.
type Right struct {
	Resource string // "service", "node" …
	Access   string // "read", "write"
	Segment  string // the name of what it is about
}

// Lacks tells which of some rights the token of now does not give, without trying. It
// needs none to ask that.
func (c *Client) Lacks(ctx context.Context, rights ...Right) ([]Right, error) {
	type verdict struct {
		Right
		Allow bool
	}
	verdicts, err := ask(ctx, c, func(q *api.QueryOptions) (verdicts []verdict, err error) { //nolint:contextcheck // the request has a context of its own
		err = c.post(q, "/v1/internal/acl/authorize", rights, &verdicts)
		return verdicts, err
	})
	if err != nil {
		return nil, c.unreachable("ask what the ACL token may do", err)
	}
	var lacking []Right
	for _, v := range verdicts {
		if !v.Allow {
			lacking = append(lacking, v.Right)
		}
	}
	return lacking, nil
}

// post makes a request that the library cannot make.
func (c *Client) post(q *api.QueryOptions, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	names := url.Values{}
	for key, value := range map[string]string{"ns": c.cfg.Namespace, "partition": c.cfg.Partition} {
		if value != "" {
			names.Set(key, value)
		}
	}
	req, err := http.NewRequestWithContext(q.Context(), http.MethodPost, c.client.base+path+"?"+names.Encode(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Consul-Token", q.Token)
	resp, err := c.client.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return api.StatusError{Code: resp.StatusCode, Body: string(answer)}
	}
	return json.Unmarshal(answer, out)
}

// mostAnswer is how large an answer may be.
const mostAnswer = 1 << 20
